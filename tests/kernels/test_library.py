"""The compiled library: its structs, its instruction sets, and what is said of both."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pyjpegdiff
from pyjpegdiff.backends import cpu_scan
from pyjpegdiff.kernels import library

HERE = Path(library.__file__).parent
needs_library = pytest.mark.skipif(library.load() is None, reason="the compiled library is not there")


def run(*arguments, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False, cwd=cwd,
        env={**os.environ, **environment},
    )  # fmt: skip


def test_structs_are_those_of_the_source(tmp_path):
    """A compiler tells sizes and where fields lie; fields that are arrays there are written out here."""
    compiler = shutil.which("g++") or shutil.which("clang++") or shutil.which("c++")
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    fields = {
        "samples": "samples", "scale": "scale", "image": "image", "g_image": "g_image", "parameters": "parameters",
        "parameters_stride": "parameters_stride", "g_parameters": "g_parameters", "g_steps[1]": "g_steps_c",
        "operands": "operands", "blocks[2]": "blocks_cr", "g_blocks[0]": "g_blocks_y", "residuals": "residuals",
        "u[1]": "u_c", "in_range[1]": "in_range_c", "inside": "inside", "has_inside": "has_inside", "sums": "sums",
        "needs_color": "needs_color",
    }  # fmt: skip
    offsets = "".join(f'std::printf("%zu ", size_t(offsetof(Call, {name})));' for name in fields)
    source = tmp_path / "sizes.cpp"
    source.write_text(
        f'#include <cstddef>\n#include <cstdio>\n#include "{HERE / "cpu" / "call.hpp"}"\nint main() {{ {offsets}'
        'std::printf("%zu %zu %d %d %d", sizeof(Call), sizeof(Pixels), F64, RATIONAL, TO_BLOCKS);}'
    )
    subprocess.run([compiler, "-w", "-std=c++17", source, "-o", tmp_path / "sizes"], check=True)
    said = subprocess.run([tmp_path / "sizes"], capture_output=True, text=True, check=True).stdout
    structs = (library.Call, library.Pixels)
    assert list(map(int, said.split())) == [
        *[getattr(library.Call, field).offset for field in fields.values()],
        *[ctypes.sizeof(struct) for struct in structs],
        len(library.KINDS) - 1, len(library.ROUNDINGS) - 1, library.TO_BLOCKS,
    ]  # fmt: skip


def test_the_struct_of_a_scan_is_that_of_the_source(tmp_path):
    compiler = shutil.which("g++") or shutil.which("clang++") or shutil.which("c++")
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    fields = {
        "samples": "samples", "is_double": "is_double", "rows[1]": "rows_c", "columns[0]": "columns_y",
        "columns[1]": "columns_c", "group_rows": "group_rows", "group_columns": "group_columns",
        "blocks[0]": "blocks_y", "blocks[2]": "blocks_cr", "counts": "counts", "costs": "costs",
        "costs_stride": "costs_stride", "cotangent": "cotangent", "g_blocks[0]": "g_blocks_y",
        "g_blocks[2]": "g_blocks_cr",
    }  # fmt: skip
    offsets = "".join(f'std::printf("%zu ", size_t(offsetof(Scan, {name})));' for name in fields)
    source = tmp_path / "sizes.cpp"
    source.write_text(
        f'#include <cstddef>\n#include <cstdio>\n#include "{HERE / "cpu" / "scan.hpp"}"\nint main() {{ {offsets}'
        'std::printf("%zu %d", sizeof(Scan), int(SYMBOLS));}'
    )
    subprocess.run([compiler, "-w", "-std=c++17", source, "-o", tmp_path / "sizes"], check=True)
    said = subprocess.run([tmp_path / "sizes"], capture_output=True, text=True, check=True).stdout
    places = [getattr(library.Scan, field).offset for field in fields.values()]
    assert list(map(int, said.split())) == [*places, ctypes.sizeof(library.Scan), cpu_scan.SYMBOLS]


# --- instruction sets -------------------------------------------------------------------------------------------------


@needs_library
def test_the_best_instruction_set_is_taken_unless_another_is_named():
    names = library.instruction_sets()
    assert names
    program = "from pyjpegdiff.kernels import library; print(library.instruction_set())"
    for name in ("", *names):
        done = run("-c", program, PYJPEGDIFF_INSTRUCTION_SET=name)
        assert done.stdout.strip() == (name or names[0])


@needs_library
def test_use_within():
    best, least = library.instruction_sets()[0], library.instruction_sets()[-1]
    with library.use_instruction_set(least):
        assert library.instruction_set() == least
        with library.use_instruction_set(best):
            assert library.instruction_set() == best
        assert library.instruction_set() == least
    assert library.instruction_set() == best
    with pytest.raises(ValueError, match=r"name must be one of .*, got 'mmx'"), library.use_instruction_set("mmx"):
        pytest.fail("it must not be used")


@needs_library
def test_an_instruction_set_that_there_is_not_is_named_at_the_first_call():
    program = """
import numpy as np
import pyjpegdiff
try:
    pyjpegdiff.diff_jpeg_coding(np.zeros((3, 8, 8)), 50)
except ValueError as error:
    print(error)
"""
    done = run("-c", program, PYJPEGDIFF_INSTRUCTION_SET="mmx")
    assert done.stdout.startswith("environment variable PYJPEGDIFF_INSTRUCTION_SET must be one of ('")
    assert done.stdout.endswith("got 'mmx'\n")


# --- python -m pyjpegdiff.kernels -------------------------------------------------------------------------------------


@needs_library
def test_the_command_tells_what_is_used():
    done = run("-m", "pyjpegdiff.kernels", PYJPEGDIFF_INSTRUCTION_SET="")
    assert done.returncode == 0
    assert str(library.PATH) in done.stdout
    assert f"instruction set: {library.instruction_sets()[0]} " in done.stdout


@needs_library
def test_the_command_fails_where_the_environment_names_what_there_is_not():
    done = run("-m", "pyjpegdiff.kernels", PYJPEGDIFF_INSTRUCTION_SET="mmx")
    assert (done.returncode, done.stdout) == (1, "")
    assert "PYJPEGDIFF_INSTRUCTION_SET must be one of" in done.stderr


# --- no library -------------------------------------------------------------------------------------------------------


# An editable install may have a finder of its own, an object that comes before all that search the path.
BY_PATH = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if isinstance(finder, type)]
"""


@pytest.mark.parametrize("content", [None, b"no library", b""])
def test_without_a_library_numpy_computes(tmp_path, content):
    package = tmp_path / "pyjpegdiff"
    shutil.copytree(Path(pyjpegdiff.__file__).parent, package, ignore=shutil.ignore_patterns("_cpu.*", "__pycache__"))
    if content is not None:
        (package / "kernels" / library.PATH.name).write_bytes(content)
    program = """
import numpy as np
import pyjpegdiff
from pyjpegdiff import backends
print(pyjpegdiff.__file__)
assert "cpu_kernels" not in backends.available()
assert pyjpegdiff.diff_jpeg_coding(np.zeros((3, 8, 8)), 50).shape == (3, 8, 8)
try:
    with backends.use_backend("cpu_kernels"):
        pass
except ValueError as error:
    print(error)
"""
    done = run("-c", BY_PATH + program, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    where, message = done.stdout.splitlines()
    assert Path(where).parent == package
    assert message.startswith("name must be one of ('numpy_strips',")
    command = "import runpy\nrunpy.run_module('pyjpegdiff.kernels', run_name='__main__')"
    told = run("-c", BY_PATH + command, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert (told.returncode, told.stdout.split(":")[0]) == (0, "library")
    assert "NumPy computes instead" in told.stdout
