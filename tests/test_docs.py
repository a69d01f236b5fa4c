"""What the build of the manual cannot notice: code that would be shown and never run, notebooks that would not run."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
FENCE = re.compile(r"^(`{3,}|~{3,}|:{3,})[ ]*(\S[^\n]*)\n(.*?)^\1[ ]*$", re.DOTALL | re.MULTILINE)
EXECUTED = {"{code-cell} python", "python"}  # by the build, and by test_readme.py
PYTHON = re.compile(r"(\{[\w-]+\}\s*)?(i?python3?|py|pycon)\b")


def fences(page):
    return [(info.strip(), body) for _, info, body in FENCE.findall(page.read_text())]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_all_python_of_a_page_is_executed(page):
    blocks = fences(page)
    shown_alone = [info for info, _ in blocks if PYTHON.match(info) and info not in EXECUTED]
    assert shown_alone == []
    cells = [body for info, body in blocks if info.startswith("{code-cell}")]
    if cells:
        # Without this, cells are taken for an unknown directive's text.
        assert re.match(r"---\nfile_format: mystnb\n", page.read_text())
    for cell in cells:
        assert not re.search(r"skip-execution|raises-exception", cell.partition("\n\n")[0])


def test_every_page_is_part_of_the_manual():
    assert len(PAGES) > 15
    assert all("_ext" not in page.parts for page in PAGES)


# --- pages as notebooks -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def notebooks():
    spec = importlib.util.spec_from_file_location("notebooks", ROOT / "docs" / "_ext" / "notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_with_cells_has_a_notebook(page, notebooks):
    source = [page.read_text()]
    notebooks.link(None, str(page.relative_to(ROOT / "docs").with_suffix("")), source)
    has_cells = any(info.startswith("{code-cell}") for info, _ in fences(page))
    assert re.findall(r"\{nb-download\}`(.*?)`", source[0]) == ([f"{page.stem}.ipynb"] if has_cells else [])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_notebook_imports_nothing_of_the_manual(page, notebooks):
    own = [path.stem for path in (ROOT / "docs" / "_ext").iterdir()]
    for info, body in fences(page):
        if info.startswith("{code-cell}"):
            assert not re.search(rf"^ *(import|from) ({'|'.join(own)}|myst_nb)\b", notebooks.code(body), re.MULTILINE)


def test_the_text_of_a_notebook_needs_no_sphinx(notebooks):
    numbers = {"ratio 1": {"data": {"text/plain": "'0.72'"}}}
    source = (
        "{.lead}\nBy {func}`jpeg_rate`, {glue:text}`ratio 1` of [it](files.md){.wide}, in `{a: 1}`.\n\n"
        "```{eval-rst}\n.. autofunction:: jpeg_rate\n```\n\n:::{admonition} Beware\nOf $\\{x\\}$.\n:::\n\n"
        "```python\n{}\n```" + notebooks.LINK.format(name="page", needs="")
    )
    words = notebooks.text(source, numbers).split()
    assert " ".join(words) == "By `jpeg_rate`, 0.72 of [it](files.md), in `{a: 1}`. Of $\\{x\\}$. ```python {} ```"


# --- the tree of CONTRIBUTING -----------------------------------------------------------------------------------------


def tree():
    """(indentation, name) of what CONTRIBUTING.md lists, in order; several names may share a line."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (block,) = re.findall(r"^## Where things are\n+```\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    for line in block.splitlines():
        # Names come first; two spaces, or the end, part them from what is said about them.
        names = re.split(r" {2,}", line.strip())[0]
        if re.fullmatch(r"[\w./]+(, [\w./]+)*", names):
            for name in names.split(", "):
                yield len(line) - len(line.lstrip()), name


def listed():
    """Paths of the files and folders of the tree, and those folders whose files it lists."""
    paths, folders, listing = set(), [(-1, ROOT)], set()
    for indent, name in tree():
        while folders[-1][0] >= indent:
            folders.pop()
        path = folders[-1][1] / name
        if indent:
            listing.add(folders[-1][1])
        paths.add(path)
        if name.endswith("/"):
            folders.append((indent, path))
    return paths, listing


def test_the_tree_names_what_is_there():
    paths, _ = listed()
    assert len(paths) > 25
    assert [path for path in paths if not path.exists()] == []


def test_what_is_there_is_in_the_tree():
    """By its name, or by the line of its folder where that lists no files."""
    paths, listing = listed()
    package = ROOT / "pyjpegdiff"
    assert package in paths
    there = {path for path in package.rglob("*.py") if path.name != "__init__.py"}
    there |= {path.parent for path in there}
    missing = [path for path in there if path not in paths and (path.is_dir() or path.parent in listing)]
    assert missing == []
