"""The bits of coefficients in chunks: each chunk of the batch is one call of `pyjpegdiff.rate` for NumPy arrays."""

import functools
from typing import Any

import dask.array as da
import numpy as np

from pyjpegdiff import rate
from pyjpegdiff.adapters._dask_chunks import Labels, as_dask, cut, only, pick, share_of_threads, tuples
from pyjpegdiff.arguments import Call
from pyjpegdiff.arrays import result_dtype
from pyjpegdiff.operations import BLOCKS
from pyjpegdiff.results import Coefficients
from pyjpegdiff.types import Arrays, ArrayType


class Chunked:
    """The blocks of a call, cut along batch axes as luma is."""

    def __init__(self, call: Call, huffman: str) -> None:
        named: dict[str, Any] = {name: call.inputs[name] for name in BLOCKS if name in call.inputs}
        self.batch_ndim = named["y"].ndim - 4
        self.chunks = named["y"].chunks[: self.batch_ndim]
        self.labels: Labels = tuple(range(self.batch_ndim + 4))
        self.blocks = [cut(name, x, self.labels, self.chunks) for name, x in named.items()]
        self.choices = call.size, call.subsampling, huffman

    def bits(self) -> Any:
        """The number of bits: the batch shape."""
        return self._pick(self._work(_bits, "rate", self.blocks, [self.labels] * len(self.blocks)), 0, ())

    def bits_vjp(self, cotangent: Any) -> list[Any]:
        """Cotangents of the blocks."""
        batch = self.labels[: self.batch_ndim]
        arrays = [*self.blocks, cut("bits", as_dask(cotangent), batch, self.chunks)]
        made = self._work(_bits_vjp, "rate-vjp", arrays, [*[self.labels] * len(self.blocks), batch])
        return [
            self._pick(made, place, x.shape[self.batch_ndim :], result_dtype(x.dtype))
            for place, x in enumerate(self.blocks)
        ]

    def _work(self, function: Any, name: str, arrays: list[Any], labels: list[Labels]) -> Any:
        count = int(np.prod([len(lengths) for lengths in self.chunks]))
        return tuples(functools.partial(function, *self.choices, count), name, self.batch_ndim, arrays, labels)

    def _pick(self, made: Any, place: int, core: tuple[int, ...], dtype: str = "float64") -> Any:
        shape = (*map(sum, self.chunks), *core)
        return pick(made, place, self.labels[: len(shape)], ArrayType(shape, dtype)).first()


def _bits(size: Any, subsampling: Any, huffman: str, count: int, *chunks: Any) -> tuple[Arrays]:
    with share_of_threads(count):
        return ((np.asarray(rate.jpeg_rate(_coefficients(size, subsampling, chunks), huffman=huffman)),),)


def _bits_vjp(size: Any, subsampling: Any, huffman: str, count: int, *chunks: Any) -> tuple[Arrays]:
    *blocks, cotangent = chunks
    with share_of_threads(count):
        _, vjp = rate.jpeg_rate_vjp(_coefficients(size, subsampling, blocks), huffman=huffman)
        found = vjp(np.asarray(only(cotangent)))
    return (tuple([x for x in (found.y, found.cb, found.cr) if x is not None]),)


def _coefficients(size: Any, subsampling: Any, chunks: Any) -> Coefficients:
    y, cb, cr = (*map(only, chunks), None, None)[:3]
    steps = np.ones((8, 8))  # no bit depends on them
    return Coefficients(y, cb, cr, steps, None if cb is None else steps, size, subsampling)


def jpeg_rate(call: Call, huffman: str) -> da.Array:
    """The bits, from checked arguments."""
    return Chunked(call, huffman).bits()


def jpeg_rate_vjp(call: Call, huffman: str) -> tuple[da.Array, Any]:
    """The bits and their VJP, from checked arguments."""
    chunked = Chunked(call, huffman)
    return chunked.bits(), rate.vjp_of(call, chunked.bits_vjp)
