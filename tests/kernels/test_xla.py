"""XLA's structs as the library declares them, beside XLA's own header."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from pyjpegdiff.kernels import library

jax = pytest.importorskip("jax")

HERE = Path(library.__file__).parent
FIELDS = {
    ("Frame", "CallFrame"): {
        "api": "api", "context": "ctx", "stage": "stage", "arguments": "args", "results": "rets", "attributes": "attrs",
    },
    ("Buffers", "Args"): {"count": "size", "types": "types", "buffers": "args"},
    ("Buffers", "Rets"): {"count": "size", "types": "types", "buffers": "rets"},
    ("Buffer", "Buffer"): {"dtype": "dtype", "data": "data", "rank": "rank", "lengths": "dims"},
    ("Attributes", "Attrs"): {"count": "size", "types": "types", "names": "names", "values": "attrs"},
    ("Numbers", "Array"): {"dtype": "dtype", "count": "size", "data": "data"},
    ("Text", "ByteSpan"): {"first": "ptr", "length": "len"},
    ("Version", "Api_Version"): {"major": "major_version", "minor": "minor_version"},
    ("Metadata", "Metadata"): {"version": "api_version", "traits": "traits"},
    ("Extension", "Metadata_Extension"): {"type": "extension_base.type", "metadata": "metadata"},
    ("ErrorText", "Error_Create_Args"): {"message": "message", "code": "errc"},
    ("DestroyError", "Error_Destroy_Args"): {"error": "error"},
    ("Schedule", "ThreadPool_Schedule_Args"): {"context": "ctx", "task": "task", "data": "data"},
    ("CountThreads", "ThreadPool_NumThreads_Args"): {"context": "ctx", "count": "num_threads"},
    ("Api", "Api"): {
        "version": "api_version", "create_error": "XLA_FFI_Error_Create", "destroy_error": "XLA_FFI_Error_Destroy",
        "schedule": "XLA_FFI_ThreadPool_Schedule", "count_threads": "XLA_FFI_ThreadPool_NumThreads",
    },
}  # fmt: skip
NUMBERS = {
    "BUFFER": "ArgType_BUFFER", "ARRAY": "AttrType_ARRAY", "S64": "DataType_S64", "METADATA": "Extension_Metadata",
    "EXECUTE": "ExecutionStage_EXECUTE", "INVALID_ARGUMENT": "Error_Code_INVALID_ARGUMENT",
}  # fmt: skip
BYTES = {
    "PRED": 1, "S8": 1, "U8": 1, "S16": 2, "U16": 2, "F16": 2, "BF16": 2, "S32": 4, "U32": 4, "F32": 4, "S64": 8,
    "U64": 8, "F64": 8,
}  # fmt: skip


def test_structs_are_those_of_xla(tmp_path):
    """A compiler compares where fields lie."""
    compiler = shutil.which("g++") or shutil.which("clang++") or shutil.which("c++")
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    claims = [
        f"offsetof(xla::{ours}, {field}) == offsetof(XLA_FFI_{theirs}, {name})"
        for (ours, theirs), fields in FIELDS.items()
        for field, name in fields.items()
    ]
    claims += [f"int(xla::{ours}) == int(XLA_FFI_{theirs})" for ours, theirs in NUMBERS.items()]
    claims += [f"bytes_of_number(XLA_FFI_DataType_{name}) == {size}" for name, size in BYTES.items()]
    claims += ["XLA_FFI_API_MAJOR == 0", "sizeof(xla::Frame) == XLA_FFI_CallFrame_STRUCT_SIZE"]
    source = tmp_path / "structs.cpp"
    checks = "\n".join(f'static_assert({claim}, "");' for claim in claims)
    source.write_text(
        f'#include <cstddef>\n#include "xla/ffi/api/c_api.h"\n#include "{HERE / "cpu" / "xla.cpp"}"\n{checks}\n'
    )
    command = [compiler, "-w", "-std=c++17", "-fsyntax-only", "-I", jax.ffi.include_dir(), source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(library.load() is None, reason="the compiled library is not there")
@pytest.mark.parametrize(
    ("size", "major", "told"), [(10**4, 0, 0), (10**4, 1, -1), (40, 0, -1), (144, 0, -1), (152, 0, 0), (None, 0, -1)]
)
def test_xla_is_told_a_version_that_it_refuses_where_its_structs_are_others(size, major, told):
    """It asks by a frame with an extension, before it calls a handler."""
    api = (ctypes.c_int64 * 19)(size or 0, 0, 24, 0, major | 7 << 32)
    metadata = (ctypes.c_int64 * 6)(48, 24, 0, 99)
    extension = (ctypes.c_int64 * 4)(32, 1, 0, ctypes.addressof(metadata))
    frame = (ctypes.c_int64 * 3)(24, ctypes.addressof(extension), ctypes.addressof(api) if size else 0)
    for handler in (library.load().pyjpegdiff_xla_forward, library.load().pyjpegdiff_xla_vjp):
        assert handler(ctypes.addressof(frame)) is None
        assert list(metadata)[2:5] == [0, (told & 0xFFFFFFFF) | 3 << 32, 0]


def test_jax_says_so_where_a_handler_has_another_version():
    """As `pyjpegdiff.adapters` expects, which then does without the kernels."""

    @ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(ctypes.c_int64))
    def handler(frame):
        metadata = ctypes.cast(frame[1], ctypes.POINTER(ctypes.c_int64))[3]
        ctypes.cast(metadata, ctypes.POINTER(ctypes.c_int64))[3] = 0xFFFFFFFF | 3 << 32

    jax.devices()  # until there are some, handlers are only noted
    with pytest.raises(jax.errors.JaxRuntimeError, match="version"):
        jax.ffi.register_ffi_target("pyjpegdiff_of_another_version", jax.ffi.pycapsule(handler), platform="cpu")
