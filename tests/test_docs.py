"""What the build of the manual cannot notice: code that would be shown and never run."""

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
