"""The scan of a file by compiled kernels: a struct filled with pointers to blocks, and its samples given to threads."""

import ctypes
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pyjpegdiff.arrays import result_dtype
from pyjpegdiff.backends import threads
from pyjpegdiff.backends.cpu_call import THREADED_AREA
from pyjpegdiff.backends.cpu_pixels import address, address_of_new
from pyjpegdiff.backends.memory import empty
from pyjpegdiff.huffman import DC_SYMBOLS, STANDARD_AC, STANDARD_DC, optimal_lengths
from pyjpegdiff.kernels.library import Scan, ready
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.stages.entropy_slopes import ac_costs, dc_costs
from pyjpegdiff.types import Arrays

NumPyArray = np.ndarray[Any, Any]

SYMBOLS = 256


def scan(sampling: tuple[int, int] | None, huffman: str, blocks: Arrays, copy: bool = False) -> "CpuScan | None":
    """The scan of NumPy arrays, as `pyjpegdiff.scan.scan` gives one; None where the kernels cannot count a value.

    With ``copy`` the caller may write to the blocks before the VJP is called.
    """
    if 0 in blocks[0].shape:
        return None
    made = CpuScan(sampling, huffman, blocks, copy)
    return made if made.fits else None


class CpuScan:
    """Symbols that have been counted; it holds every array that the struct points to."""

    def __init__(self, sampling: tuple[int, int] | None, huffman: str, blocks: Arrays, copy: bool) -> None:
        self.library, self.huffman = ready(), huffman
        self.batch_shape = blocks[0].shape[:-4]
        self.dtypes = [result_dtype(x.dtype) for x in blocks]
        # What is float16 in float64, so that its cotangent is rounded once.
        is_double = any(dtype != "float32" for dtype in self.dtypes)
        make = np.array if copy else np.asarray
        given: list[Any] = [make(x, "float64" if is_double else "float32", order="C") for x in blocks]
        self.blocks = [x if x.flags.aligned else x.copy() for x in given]
        samples, tables = math.prod(self.batch_shape), min(len(blocks), 2)
        self.counts = np.zeros((samples, tables, 2, SYMBOLS), np.int64)
        (rows, columns), (chroma_rows, chroma_columns) = blocks[0].shape[-4:-2], blocks[-1].shape[-4:-2]
        self.call = Scan(
            samples, len(blocks), is_double, rows, chroma_rows, columns, chroma_columns, *(sampling or (1, 1))
        )
        for name, x in zip(("blocks_y", "blocks_cb", "blocks_cr"), self.blocks, strict=False):
            setattr(self.call, name, address(x))
        self.call.counts = address_of_new(self.counts)
        self.fits = self._run(self.library.pyjpegdiff_count)

    def bits(self) -> NumPyArray:
        """The number of bits: the batch shape."""
        weights = self._weights
        found = np.vecdot(self.counts.reshape(len(self.counts), -1), weights.reshape(*weights.shape[:-3], -1))
        return found.astype(np.float64).reshape(self.batch_shape)

    def bits_by_table(self) -> tuple[tuple[NumPyArray, NumPyArray], ...]:
        """The same, of DC and of AC, for luma and, where there is any, for chroma."""
        found = np.vecdot(self.counts, self._weights).astype(np.float64).reshape(*self.batch_shape, -1, 2)
        return tuple([(found[..., index, 0], found[..., index, 1]) for index in range(found.shape[-2])])

    def bits_vjp(self, cotangent: Any) -> Arrays:
        """Cotangents of the coefficients, in the shape and the floating dtype of each component."""
        costs = _standard_costs(len(self.counts[0])) if self.huffman == "standard" else _costs(self._lengths)
        weights = np.array(cotangent, np.float64, order="C")
        found = [empty(x.shape, x.dtype) for x in self.blocks]
        call = Scan.from_buffer_copy(self.call)  # calls may overlap
        call.costs, call.costs_stride = address_of_new(costs), costs[0].size if costs.ndim == 3 else 0
        call.cotangent = address_of_new(weights)
        for name, x in zip(("g_blocks_y", "g_blocks_cb", "g_blocks_cr"), found, strict=False):
            setattr(call, name, address_of_new(x))
        self._run(self.library.pyjpegdiff_count_vjp, call)
        return tuple([x.astype(dtype, copy=False) for x, dtype in zip(found, self.dtypes, strict=True)])

    @property
    def _weights(self) -> NumPyArray:
        """Bits of a symbol with those that follow it."""
        is_standard = self.huffman == "standard"
        return _standard_weights(self.counts.shape[1]) if is_standard else self._lengths + _FOLLOWING

    @functools.cached_property
    def _lengths(self) -> NumPyArray:
        """Of codes, by symbol: (luma and chroma, DC and AC, symbols), before that an axis of samples if they differ."""
        if self.huffman == "standard":
            return _standard_lengths(self.counts.shape[1])
        made = [optimal_lengths(each) for each in self.counts.reshape(-1, SYMBOLS)]
        return np.reshape(made, self.counts.shape)

    def _run(self, function: Callable[..., int], call: Scan | None = None) -> bool:
        """Every sample, in several threads where there is enough to do; whether all values can be counted."""
        reference = ctypes.byref(call or self.call)

        def work(run: Sequence[int]) -> int:
            return function(reference, run[0], run[-1] + 1)

        samples = range(len(self.counts))
        count = threads.get_num_threads() if self.blocks[0].size >= THREADED_AREA else 1
        return all(threads.spread(work, samples, count))


@functools.cache
def _standard_lengths(tables: int) -> NumPyArray:
    lengths = np.zeros((tables, 2, SYMBOLS), np.int64)
    for index in range(tables):
        lengths[index, 0, :DC_SYMBOLS], lengths[index, 1] = STANDARD_DC[index], STANDARD_AC[index]
    return lengths


# A DC symbol is the number of bits that follow, an AC symbol has it in its lower half.
_FOLLOWING = np.arange(SYMBOLS) % 16


@functools.cache
def _standard_weights(tables: int) -> NumPyArray:
    return _standard_lengths(tables) + _FOLLOWING


@functools.cache
def _standard_costs(tables: int) -> NumPyArray:
    return _costs(_standard_lengths(tables))


def _costs(lengths: NumPyArray) -> NumPyArray:
    """As the struct has them, from lengths by symbol."""
    of_dc: Any = dc_costs(xp, lengths[..., 0, :DC_SYMBOLS])
    of_ac: Any = ac_costs(xp, lengths[..., 1, :])
    return np.concatenate((of_ac, of_dc), axis=-1, dtype=np.int32)
