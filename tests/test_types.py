"""The protocols of an array and of its namespace: what the type checker finds in a stage, and what it lets pass."""

import importlib
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import array_api_strict
import numpy as np
import pytest

from pyjpegdiff import types
from tests.libraries import case  # noqa: F401

ROOT = Path(__file__).parents[1]
STAGE = '''
from pyjpegdiff.arrays import add_to, device
from pyjpegdiff.types import Array, Namespace


def stage(xp: Namespace, x: Array) -> Array:
    """In the style of a stage."""
    nearest = xp.round(x)
    d = x - nearest
    inside = (x >= 0) & (x <= 255)
    total = xp.sum(xp.reshape(x, (*x.shape[:-2], -1)), axis=-1)
    zeros = xp.zeros(x.shape, dtype=x.dtype, device=device(x))
    return add_to(xp, xp.where(inside, nearest + 3 * d * d, -x / 2), zeros) + total[..., None, None]
'''
WRONG = {
    "where = x.device": '"Array" has no attribute "device"',
    "x += 1": '"__iadd__" of "Array"',
    "x -= x": '"__isub__" of "Array"',
    "x *= 2.0": '"__imul__" of "Array"',
    "x[0] = 1": "Invalid index type",
    "x[...] = x": "Invalid index type",
    "y = x.copy()": '"Array" has no attribute "copy"',
    "y = x.T": '"Array" has no attribute "T"',
    "y = x @ x": "Unsupported left operand type for @",
    "y = xp.einsum('i,i->', x, x)": '"Namespace" has no attribute "einsum"',
    "y = xp.flip(x)": '"Namespace" has no attribute "flip"',
    "y = xp.rint(x)": '"Namespace" has no attribute "rint"',
}


def errors_of(code, folder):
    """Lines and messages of what mypy finds, by the settings of this project."""
    if shutil.which("mypy", path=str(Path(sys.executable).parent)) is None:
        pytest.skip("mypy is not installed")
    (folder / "snippet.py").write_text(code)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml")]
    command.append(str(folder / "snippet.py"))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    found = re.findall(r"snippet\.py:(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    return [(int(line), message) for line, message in found]


def test_a_stage_passes_and_what_some_libraries_lack_is_found(tmp_path):
    head = f"{STAGE}\n\ndef wrong(xp: Namespace, x: Array) -> None:\n"
    first = head.count("\n") + 1
    found = errors_of(head + "".join(f"    {line}\n" for line in WRONG), tmp_path)
    # Exactly these lines: nothing in the stage, everything in what follows it.
    assert sorted({line for line, _ in found}) == list(range(first, first + len(WRONG)))
    by_line = {line: " ".join(text for other, text in found if other == line) for line, _ in found}
    for line, (wrong, message) in enumerate(WRONG.items(), first):
        assert message in by_line[line], f"{wrong}: {by_line[line]}"


def members(protocol):
    return [
        name for name in vars(protocol) if not name.startswith("_") or name in ("__getitem__", "__neg__", "__add__")
    ]


def test_arrays_and_namespaces_of_every_library_have_what_the_protocols_promise(case):
    array = case.array([[1.0]])
    assert [
        name for name in ("dtype", "ndim", "shape", "__getitem__", "__neg__", "__and__") if not hasattr(array, name)
    ] == []
    wanting = [
        name for name in (*members(types.Namespace), *types.Namespace.__annotations__) if not hasattr(case.xp, name)
    ]
    assert wanting == []


def test_strict_namespace_has_no_more_than_the_standard():
    assert not hasattr(array_api_strict, "einsum")
    assert [name for name in members(types.Namespace) if not hasattr(array_api_strict, name)] == []


def test_types_of_arrays_that_are_not_there():
    type_ = types.ArrayType((2, 3), "float32")
    assert np.empty(*type_).shape == (2, 3)
    assert (type_.shape, type_.dtype) == ((2, 3), "float32")


@pytest.mark.parametrize("name", ["pyjpegdiff", "pyjpegdiff.adapters.dask", "pyjpegdiff.adapters.jax"])
def test_public_signatures_name_arrays(name):
    """Where a type checker is told `Any`, a reader learns more."""
    module = importlib.import_module(name)
    names = [name for name in module.__all__ if re.match(r"(diff_)?jpeg_", name)]
    assert len(names) == 8
    for name in names:
        signature = str(inspect.signature(getattr(module, name)))
        assert re.search(r"\bArray\b|\bCoefficients\b", signature)
        assert not re.search(r"\bAny\b", signature), name
