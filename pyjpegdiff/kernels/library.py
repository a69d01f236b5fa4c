"""The compiled library: where it lies, what its functions take, and which instruction set it uses.

There may be none: a package without a compiled file computes with NumPy. It is loaded from beside this file and from
nowhere else, so that no other file of that name can be taken for it.
"""

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from ctypes import c_double, c_int64, c_void_p
from pathlib import Path
from typing import Any, ClassVar

VARIABLE = "PYJPEGDIFF_INSTRUCTION_SET"
"""The environment variable that names the instruction set; empty or not set: the best one."""
SUFFIX = {"win32": "dll", "darwin": "dylib"}.get(sys.platform, "so")
PATH = Path(__file__).parent / f"_cpu.{SUFFIX}"

KINDS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64")
"""Types of pixels."""
ARITHMETICS = ("smooth", "ste", "libjpeg")
ROUNDINGS = ("cubic", "identity", "sine", "fourier", "tanh", "rational")
FROM_IMAGE, FROM_BLOCKS = range(2)
TO_IMAGE, TO_BLOCKS = range(2)


# --- the structs of cpu/call.hpp: the same fields in the same order; arrays of it are written out ---------------------


class Pixels(ctypes.Structure):
    """An image in the caller's memory."""

    _fields_: ClassVar[Any] = [
        ("data", c_void_p), ("kind", c_int64), ("sample", c_int64), ("channel", c_int64), ("row", c_int64),
        ("column", c_int64),
    ]  # fmt: skip


def _fields(names: str, type_: Any) -> list[tuple[str, Any]]:
    return [(name, type_) for name in names.split()]


class Call(ctypes.Structure):
    """A call."""

    _fields_: ClassVar[Any] = [
        *_fields("samples height width channels rows columns is_double arithmetic rounding", c_int64),
        *_fields("cubic_flooring elastic source sink", c_int64),
        ("scale", c_double),
        *_fields("image result cotangent g_image", Pixels),
        ("parameters", c_void_p),
        ("parameters_stride", c_int64),
        *_fields("g_parameters g_steps_y g_steps_c operands", c_void_p),
        *_fields("blocks_y blocks_cb blocks_cr g_blocks_y g_blocks_cb g_blocks_cr residuals", c_void_p),
        *_fields("residuals_stride u_y u_c in_range_y in_range_c inside has_u has_in_range has_inside", c_int64),
        ("sums", c_void_p),
        *_fields("needs_image needs_steps needs_color", c_int64),
    ]


class Scan(ctypes.Structure):
    """A call that counts bits: the struct of cpu/scan.hpp."""

    _fields_: ClassVar[Any] = [
        *_fields("samples components is_double rows_y rows_c columns_y columns_c group_rows group_columns", c_int64),
        *_fields("blocks_y blocks_cb blocks_cr counts costs", c_void_p),
        ("costs_stride", c_int64),
        *_fields("cotangent g_blocks_y g_blocks_cb g_blocks_cr", c_void_p),
    ]


# --- the library ------------------------------------------------------------------------------------------------------


@functools.cache
def load() -> ctypes.CDLL | None:
    """The library, None where there is none or it does not load."""
    if not PATH.is_file():
        return None
    try:
        library = ctypes.CDLL(str(PATH))
        _declare(library)
    except (OSError, AttributeError):  # of another platform, or of another version
        return None
    sizes = (library.pyjpegdiff_call_size(), library.pyjpegdiff_scan_size())
    return library if sizes == (ctypes.sizeof(Call), ctypes.sizeof(Scan)) else None


def _declare(library: ctypes.CDLL) -> None:
    call = ctypes.POINTER(Call)
    for name in ("call_size", "scan_size"):
        function = getattr(library, f"pyjpegdiff_{name}")
        function.argtypes, function.restype = [], c_int64
    library.pyjpegdiff_instruction_sets.argtypes = []
    library.pyjpegdiff_instruction_sets.restype = ctypes.c_char_p
    library.pyjpegdiff_use.argtypes = [c_int64]
    library.pyjpegdiff_use.restype = None
    for name in ("operands_size", "sums_size", "scratch_size", "strips"):
        function = getattr(library, f"pyjpegdiff_{name}")
        function.argtypes, function.restype = [call], c_int64
    library.pyjpegdiff_xla_scratch_size.argtypes = [call, c_int64]
    library.pyjpegdiff_xla_scratch_size.restype = c_int64
    for name in ("xla_forward", "xla_vjp"):
        function = getattr(library, f"pyjpegdiff_{name}")
        function.argtypes, function.restype = [c_void_p], c_void_p
    for name in ("prepare", "finish"):
        function = getattr(library, f"pyjpegdiff_{name}")
        function.argtypes, function.restype = [call], None
    for name in ("forward", "vjp"):
        function = getattr(library, f"pyjpegdiff_{name}")
        function.argtypes, function.restype = [call, c_int64, c_int64, c_void_p], None
    for name in ("count", "count_vjp"):
        function = getattr(library, f"pyjpegdiff_{name}")
        function.argtypes, function.restype = [ctypes.POINTER(Scan), c_int64, c_int64], c_int64


@functools.cache
def ready() -> ctypes.CDLL:
    """The library, with the instruction set that the environment names.

    Raises
    ------
    ValueError
        If the environment names one that is not among `instruction_sets`.
    """
    library = load()
    assert library is not None, "whoever calls this has asked `load`"
    name, names = os.environ.get(VARIABLE, ""), instruction_sets()
    if name and name not in names:
        raise ValueError(f"environment variable {VARIABLE} must be one of {names} here, or empty, got {name!r}")
    if name:
        _use(name)
    return library


# --- instruction sets -------------------------------------------------------------------------------------------------


@functools.cache
def instruction_sets() -> tuple[str, ...]:
    """The names of those that the library has and this processor can run, best first; none without a library."""
    library = load()
    return () if library is None else tuple(library.pyjpegdiff_instruction_sets().decode().split())


def instruction_set() -> str:
    """The name of the one in use."""
    ready()
    return _in_use or instruction_sets()[0]


@contextlib.contextmanager
def use_instruction_set(name: str) -> Iterator[None]:
    """Have the library use another within: for tests and measurements.

    It holds for the whole process, so nothing else should compute meanwhile.

    Parameters
    ----------
    name : str
        One of `instruction_sets`.

    Raises
    ------
    ValueError
        If it is not one of them.
    """
    if name not in instruction_sets():
        raise ValueError(f"name must be one of {instruction_sets()}, got {name!r}")
    before = instruction_set()
    _use(name)
    try:
        yield
    finally:
        _use(before)


_in_use: str | None = None


def _use(name: str) -> None:
    global _in_use
    library = load()
    assert library is not None, "a name was found in it"
    library.pyjpegdiff_use(instruction_sets().index(name))
    _in_use = name
