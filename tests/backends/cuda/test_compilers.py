"""NVIDIA's compilers take the kernels as they are: nvcc for several architectures, NVRTC as CuPy calls it."""

import ctypes
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pyjpegdiff.arguments import SAMPLINGS
from pyjpegdiff.kernels.cuda import Options, source
from pyjpegdiff.stages.surrogates import ROUNDING_NAMES
from tests.backends.cuda.emulator import KERNELS

ARCHITECTURES = ("75", "80", "90")
FOLDER = Path(str(importlib.util.find_spec("pyjpegdiff.kernels.cuda").origin)).parent
ARITHMETICS = ((False, False), (True, False), (True, True))
USUAL = [Options("float", *arithmetic, "cubic", arithmetic[0], (2, 2)) for arithmetic in ARITHMETICS]
HARD = [
    Options(real, True, False, "cubic", True, sampling)
    for real in ("float", "double")
    for sampling in (*SAMPLINGS.values(), None)
]
COMBINATIONS = [
    *dict.fromkeys([*USUAL, *HARD]),
    Options("float", True, False, "cubic", False, (2, 2)),
    *(Options("float", False, False, rounding, False, (2, 2)) for rounding in ROUNDING_NAMES if rounding != "cubic"),
]


def label(options):
    arithmetic = "libjpeg" if options.libjpeg else "hard" if options.hard else "smooth"
    return "-".join([options.real, arithmetic, options.rounding, "elastic" * options.elastic, str(options.sampling)])


def macros(options):
    return [f"-D{name}={value}" for name, value in options.defines.items()]


@pytest.mark.parametrize("options", COMBINATIONS, ids=label)
def test_nvcc(options, tmp_path):
    """Without a warning or spilled registers, and with room for at least two thread blocks at once."""
    nvcc = shutil.which("nvcc") or pytest.skip("nvcc is not installed")
    architectures = ARCHITECTURES if options in USUAL else ARCHITECTURES[-1:]
    for architecture in architectures:
        command = [nvcc, "-std=c++17", f"-arch=sm_{architecture}", "-Werror", "all-warnings", "-Xptxas", "-v", "-cubin"]
        command += [*macros(options), str(FOLDER / "kernels.cu"), "-o", str(tmp_path / "kernels.cubin")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        used = resources(done.stderr)
        assert used.keys() == set(KERNELS)
        for kernel, (registers, shared, spilled) in used.items():
            assert spilled == 0, kernel
            # The fewest registers and the least shared memory that an architecture has: 2^16, and Turing's 64 KiB.
            assert 2 * registers * options.threads <= 2**16, (kernel, registers)
            assert (1 if options.real == "double" else 2) * shared <= 2**16, (kernel, shared)


def resources(text):
    """Registers, bytes of shared memory and of spilled registers of each kernel."""
    pattern = r"Function properties for (\w+).*?(\d+) bytes spill stores.*?Used (\d+) registers(?:.*?(\d+) bytes smem)?"
    parts = re.split(r"(?=Function properties for)", text)
    found = (re.search(pattern, part, re.DOTALL) for part in parts)
    return {match[1]: (int(match[3]), int(match[4] or 0), int(match[2])) for match in found if match}


# --- NVRTC ------------------------------------------------------------------------------------------------------------


def nvrtc():
    """The library, from NVIDIA's wheel, from CuPy's or torch's, or from a toolkit."""
    spec = importlib.util.find_spec("nvidia")
    wheels = [Path(place) for place in spec.submodule_search_locations] if spec else []
    toolkits = [Path(shutil.which("nvcc")).resolve().parents[1]] if shutil.which("nvcc") else []
    for place in [*wheels, *toolkits]:
        for path in sorted(place.glob("**/libnvrtc.so*"), key=lambda path: len(path.name)):
            return ctypes.CDLL(str(path))
    return pytest.skip("NVRTC is not installed")


@pytest.mark.parametrize("options", COMBINATIONS, ids=label)
def test_nvrtc(options):
    """The text that CuPy is given, headers in place, by its options."""
    library = nvrtc()
    program = ctypes.c_void_p()
    assert library.nvrtcCreateProgram(ctypes.byref(program), source().encode(), b"kernels.cu", 0, None, None) == 0
    flags = [flag.encode() for flag in ("-std=c++17", "-arch=sm_90", *macros(options))]
    status = library.nvrtcCompileProgram(program, len(flags), (ctypes.c_char_p * len(flags))(*flags))
    size = ctypes.c_size_t()
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    assert status == 0, log.value.decode()
    assert "warning" not in log.value.decode()
    library.nvrtcGetPTXSize(program, ctypes.byref(size))
    ptx = ctypes.create_string_buffer(size.value)
    library.nvrtcGetPTX(program, ptx)
    for kernel in KERNELS:
        assert f".entry {kernel}(" in ptx.value.decode()
    if options.real == "float":
        # NVRTC writes down every constant of the source, used or not; to use one at its width takes an instruction.
        code = re.sub(r"^\.global .*", "", ptx.value.decode(), flags=re.MULTILINE)
        assert not re.search(r"\.f64\b", code), "float kernels are to do nothing in double"


def test_source_has_its_headers_in_place_once():
    text = source()
    assert "#include" not in text
    headers = [*FOLDER.glob("*.cuh"), *(FOLDER.parent / "formulas").glob("*.hpp")]
    assert len(headers) > 10
    for header in headers:
        first = header.read_text().splitlines()[0]
        assert text.count(first) == 1, header
    assert text.count("#pragma once") == 0


def test_threads_and_tiles_are_those_of_the_source(tmp_path):
    """A compiler evaluates what the source says."""
    gxx = shutil.which("g++") or pytest.skip("g++ is not installed")
    for options in COMBINATIONS:
        text = "#define __device__\nstruct { unsigned x; } blockIdx, threadIdx;\n" + (FOLDER / "tile.cuh").read_text()
        rows, columns = options.tiles((1, 65)), options.tiles((17, 1))
        text += (
            f"static_assert(THREADS == {options.threads} && {rows} == (65 + TILE_WIDTH - 1) / TILE_WIDTH"
            f" && {columns} == (17 + TILE_HEIGHT - 1) / TILE_HEIGHT);\nint main() {{}}\n"
        )
        (tmp_path / "check.cpp").write_text(text)
        command = [gxx, "-std=c++17", "-Wno-pragma-once-outside-header", "-fsyntax-only", *macros(options)]
        done = subprocess.run([*command, str(tmp_path / "check.cpp")], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
