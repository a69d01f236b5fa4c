"""Every page with code as a notebook that needs nothing of the manual, and a link to it at the page's end."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

CELL = re.compile(r"^```\{code-cell\}", re.MULTILINE)
LINK = "\n\n{{.notebook}}\nThis page as a notebook: {{nb-download}}`{name}.ipynb`.{needs}\n"
NEEDS = {
    "from measures import": " It needs {download}`measures.py` in the same folder.",
    "evaluation/results": " It reads files of the repository: run it there, in the folder of this page.",
}

# What only Sphinx understands: directives, marks around text, the link, attributes, roles.
MARKUP = re.compile(
    r"^(`{3,})\{[\w-]+\}.*?^\1$|^:::[^\n]*$|^\{\.notebook\}\n[^\n]*|^\{[.#][^\n]*\}$|(?<=\))\{[.#][^}]*\}|\{[\w:-]+\}(?=`)",
    re.DOTALL | re.MULTILINE,
)
CODE_OF_PAGES = {
    "import themed_figures\n": "",
    "from myst_nb import glue": 'def glue(name, value, display=True):\n    """For the text of the page."""\n',
}


def link(app: "Sphinx", page: str, source: list[str]) -> None:
    """Add the link to a page that has cells."""
    if CELL.search(source[0]):
        needs = "".join(need for used, need in NEEDS.items() if used in source[0])
        source[0] += LINK.format(name=page.rpartition("/")[2], needs=needs)


def rewrite(app: "Sphinx", doctree: object) -> None:
    """Rewrite the notebook that was executed, before it is copied to where the link leads."""
    env: Any = app.env
    path = Path(env.mystnb_config.output_folder, f"{env.docname}.ipynb")
    if not path.exists():
        return
    glued = path.with_suffix(".glue.json")
    numbers = json.loads(glued.read_text("utf-8")) if glued.exists() else {}
    notebook = json.loads(path.read_text("utf-8"))
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        cell["source"] = (code(source) if cell["cell_type"] == "code" else text(source, numbers)).strip()
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["source"]]
    path.write_text(json.dumps(notebook, indent=1), "utf-8")


def text(source: str, numbers: dict[str, Any]) -> str:
    """Markdown as any viewer of notebooks shows it."""
    for name, number in numbers.items():
        source = source.replace(f"{{glue:text}}`{name}`", number["data"]["text/plain"].strip("'"))
    return MARKUP.sub("", source)


def code(source: str) -> str:
    """Code that runs elsewhere; none where it draws cards, which lead to pages."""
    for of_page, elsewhere in CODE_OF_PAGES.items():
        source = (source + "\n").replace(of_page, elsewhere)
    return "" if "from cards import" in source else source


def setup(app: "Sphinx") -> dict[str, bool]:
    """Take part where pages are read."""
    app.connect("source-read", link)
    app.connect("doctree-read", rewrite)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
