"""Launching by CuPy, for CuPy's arrays and for torch tensors, which need not be converted."""

import functools
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import cupy

from pyjpegdiff.kernels.cuda import Options, source
from pyjpegdiff.types import Array


def launch(options: Options, kernel: str, blocks: int, arguments: tuple[Array | int | None, ...], like: Array) -> None:
    """As `pyjpegdiff.backends.cuda_kernels.Launch` says."""
    with ExitStack() as stack:
        for context in _place(like):
            stack.enter_context(context)
        _kernel(options, kernel)((blocks,), (options.threads,), tuple(map(_argument, arguments)))


@functools.cache
def _kernel(options: Options, name: str) -> Any:
    """Compiled at the first launch on a device; CuPy keeps it in memory a device, and on disk."""
    defines = (f"-D{macro}={value}" for macro, value in options.defines.items())
    return cupy.RawKernel(source(), name, ("-std=c++17", *defines))


def _argument(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    return value.data.ptr if isinstance(value, cupy.ndarray) else value.data_ptr()


def _place(like: Any) -> tuple[AbstractContextManager[Any], ...]:
    """The device and the current stream of an array's library, as CuPy's current ones."""
    if isinstance(like, cupy.ndarray):
        return (like.device,)
    import torch

    stream = torch.cuda.current_stream(like.device)
    return cupy.cuda.Device(like.device.index), _Borrowed(stream.cuda_stream, like.device.index).stream()


class _Borrowed:
    """A stream that another library keeps, in the protocol that CuPy takes."""

    def __init__(self, pointer: int, device: int) -> None:
        self.pointer, self.device = pointer, device

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.pointer

    def stream(self) -> AbstractContextManager[Any]:
        if hasattr(cupy.cuda.Stream, "from_external"):  # CuPy 14
            return cupy.cuda.Stream.from_external(self)
        return cupy.cuda.ExternalStream(self.pointer, self.device)
