"""Every Python block and every command of ours in a Markdown page runs; every command of make it names exists."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = [
    pytest.param(code, id=f"{page.name}-{index}")
    for page in PAGES
    for index, code in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE))
]


@pytest.mark.parametrize("code", BLOCKS)
def test_code_block_runs(code, capsys):
    for name in ("torch", "jax", "dask"):
        if name in code:
            pytest.importorskip(name)
    exec(compile(code, "README.md", "exec"), {})
    assert ("print(" in code) == bool(capsys.readouterr().out)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=f"{page.name}-{index}")
        for page in PAGES
        for index, block in enumerate(re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE))
        if re.search("^pyjpegdiff ", block, re.MULTILINE)
    ],
)
def test_our_commands_run(block, tmp_path):
    """Where there are photo.png and photos/ with two images in it."""
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("click")
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    (tmp_path / "photos").mkdir()
    for number, name in enumerate(("photo.png", "photos/a.png", "photos/b.png"), 1):
        image.fromarray(pixels // number).save(tmp_path / name)
    given = set(tmp_path.iterdir())
    for line in block.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["pyjpegdiff"]:
            done = subprocess.run([sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, ""), line
            assert set(tmp_path.iterdir()) > given, line
            given = set(tmp_path.iterdir())


def test_make_has_what_pages_promise():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    promised = {name for page in PAGES for name in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)}
    assert promised <= targets
    assert {"demo", "test"} <= promised


def test_links_to_files_lead_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert "://" in link or (page.parent / link).exists(), f"{page.name}: {link}"
