"""Operations on chunks: each chunk of the batch is one call of a NumPy backend.

Every array is cut along batch axes as the first input is; what all samples share goes to every chunk. One task makes
all results of a chunk, as a tuple, and each array of results picks its own. Labels, those of `dask.array.blockwise`,
say which axis is which: batch axes have 0, 1 and so on, core dimensions the numbers after them.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import dask.array as da
import numpy as np

from pyjpegdiff import backends, numpy_namespace
from pyjpegdiff.backends import threads
from pyjpegdiff.operations import BLOCKS, ENCODE, IMAGES, Operation
from pyjpegdiff.spec import Plan
from pyjpegdiff.types import Arrays, ArrayType, Cotangents, Size

Labels = tuple[int, ...]
BatchChunks = tuple[tuple[int, ...], ...]
"""The lengths of the chunks along each batch axis."""


class Chunks:
    """Executes operations on Dask arrays, as `pyjpegdiff.execution.Executor`."""

    def forward(
        self, operation: Operation, plan: Plan, size: Size, xp: Any, inputs: Any, needs: tuple[bool, ...]
    ) -> tuple[Arrays, Arrays]:
        """Outputs; and, in place of residuals, one array that has all results of each chunk."""
        batch_ndim = inputs[0].ndim - operation.core_ndims(plan, operation.inputs[:1])[0]
        named = list(zip(operation.inputs, inputs, strict=False))
        labels = [labels_of(operation, plan, name, x.ndim, batch_ndim) for name, x in named]
        chunks = tuple([inputs[0].chunks[labels[0].index(label)] for label in range(batch_ndim)])
        pieces = [cut(name, x, own, chunks) for (name, x), own in zip(named, labels, strict=True)]
        work = functools.partial(_forward, operation, plan, size, needs, _count(chunks))
        made = tuples(work, operation.name, batch_ndim, pieces, labels)
        types = operation.output_types(plan, size, tuple([_type_of(x) for x in inputs]))
        outputs = []
        for place, (name, type_) in enumerate(zip(operation.outputs, types, strict=False)):
            own = labels_of(operation, plan, name, len(type_.shape), batch_ndim)
            outputs.append(pick(made, place, own, type_).first())
        return tuple(outputs), (made,)

    def vjp(
        self, operation: Operation, plan: Plan, size: Size, xp: Any, inputs: Any, residuals: Any, cotangents: Any,
        needs: tuple[bool, ...],
    ) -> Cotangents:  # fmt: skip
        """Cotangents of the inputs; those of what chunks share are summed over them."""
        (made,) = residuals
        chunks, batch_ndim = made.chunks, made.ndim
        pieces, labels = [made], [tuple(range(batch_ndim))]
        for name, x in zip(operation.inputs, inputs, strict=False):
            own = () if x is None else labels_of(operation, plan, name, x.ndim, batch_ndim)
            pieces.append(None if x is None else cut(name, x, own, chunks))
            labels.append(own)
        for name, x in zip(operation.outputs, cotangents, strict=False):
            own = () if x is None else labels_of(operation, plan, name, x.ndim, batch_ndim)
            label = f"cotangent.{name}" if operation is ENCODE else "cotangent"
            if x is not None:
                require_whole(label, name, x, own, batch_ndim)
                x, own = _once(name, x, own, chunks)
            pieces.append(x)
            labels.append(own)
        work = functools.partial(_vjp, operation, plan, size, needs, _count(chunks), len(inputs))
        pulled = tuples(work, f"{operation.name}-vjp", batch_ndim, pieces, labels)
        given = tuple([None if x is None else _type_of(x) for x in inputs])
        types = operation.cotangent_types(plan, size, given, tuple(map(sum, chunks)))
        found: list[Any] = []
        for place, (name, type_, need) in enumerate(zip(operation.inputs, types, needs, strict=False)):
            if not need:
                found.append(None)
                continue
            own = labels_of(operation, plan, name, len(type_.shape), batch_ndim)
            wide = type_._replace(dtype=_wide(name, type_.dtype))
            found.append(pick(pulled, place, own, wide).summed().astype(type_.dtype))
        return tuple(found)


def labels_of(operation: Operation, plan: Plan, name: str, ndim: int, batch_ndim: int) -> Labels:
    """The label of each axis of an input or output; a parameter may lack the first batch axes."""
    if name in IMAGES:
        return plan.layout.shape(tuple(range(batch_ndim + 3)))
    core_ndim = operation.core_ndims(plan, (name,))[0]
    return tuple(range(batch_ndim - (ndim - core_ndim), batch_ndim + core_ndim))


def require_whole(label: str, name: str, x: Any, labels: Labels, batch_ndim: int) -> None:
    """Raise if an image, or its blocks, are cut along core dimensions; parameters are small, and put together."""
    if name not in (*IMAGES, *BLOCKS) or not isinstance(x, da.Array):
        return
    axes = [axis - x.ndim for axis, one in enumerate(labels) if one >= batch_ndim and x.numblocks[axis] > 1]
    if axes:
        chunks = {axis: x.chunks[axis] for axis in axes}
        whole = ", ".join(f"{axis}: -1" for axis in axes)
        raise ValueError(
            f"{label} must be cut into chunks along batch axes only, got chunks {chunks} along axes of the image; "
            f"rechunk({{{whole}}}) puts each image into one chunk"
        )


def as_dask(x: Any) -> Any:
    """A NumPy array as one chunk, a copy: its owner may write to it before the graph is computed."""
    return x if isinstance(x, da.Array) else da.from_array(np.array(x), chunks=-1)


# --- arrays into chunks -----------------------------------------------------------------------------------------------


def _count(chunks: BatchChunks) -> int:
    return math.prod(map(len, chunks))


def _type_of(x: Any) -> ArrayType:
    return ArrayType(x.shape, x.dtype.name)


def _wide(name: str, dtype: str) -> str:
    # Cotangents come in the dtype of their input, and a sum over chunks must not be one of float16.
    return "float32" if dtype == "float16" and name not in (*IMAGES, *BLOCKS) else dtype


def _varies(length: int, label: int, chunks: BatchChunks) -> bool:
    """Whether an axis is a batch axis along which samples differ; one of length 1 is shared instead."""
    return label < len(chunks) and length == sum(chunks[label])


def cut(name: str, x: Any, labels: Labels, chunks: BatchChunks) -> Any:
    """An array cut as the batch is; what chunks share in one piece."""
    x = as_dask(x)
    lengths = {
        axis: chunks[label] if _varies(x.shape[axis], label, chunks) else -1 for axis, label in enumerate(labels)
    }
    return x.rechunk(lengths).astype(_wide(name, x.dtype.name))


def _once(name: str, x: Any, labels: Labels, chunks: BatchChunks) -> tuple[Any, Labels]:
    """A cotangent, cut. Of what chunks share one has it, and the others zeros, so that it counts once."""
    missing = _missing(labels, len(chunks))
    labels = (*missing, *labels)
    x = cut(name, as_dask(x)[(None,) * len(missing)], labels, chunks)
    for axis, label in enumerate(labels):
        if label < len(chunks) and (label in missing or not _varies(x.shape[axis], label, chunks)):
            zeros, place = da.zeros_like(x), _representative(chunks[label])
            x = da.concatenate([x if n == place else zeros for n in range(len(chunks[label]))], axis)
    return x, labels


def _representative(lengths: tuple[int, ...]) -> int:
    """Which chunk along an axis stands for what all share: the first that is not empty."""
    return next((place for place, length in enumerate(lengths) if length), 0)


def _missing(labels: Labels, batch_ndim: int) -> Labels:
    """Labels of the batch axes that an array lacks; they are the first ones."""
    return tuple([label for label in range(batch_ndim) if label not in labels])


# --- work on a chunk --------------------------------------------------------------------------------------------------


def tuples(work: Callable[..., Any], name: str, batch_ndim: int, arrays: Sequence[Any], labels: Sequence[Any]) -> Any:
    """An array of one tuple per chunk: what ``work`` makes of the arrays' chunks. None stays None."""
    pairs = zip(arrays, labels, strict=True)
    given = [each for x, own in pairs for each in ((None, None) if x is None else (x, own))]
    batch = tuple(range(batch_ndim))
    meta = np.empty((0,) * batch_ndim, object)
    return da.blockwise(work, batch, *given, dtype=object, meta=meta, align_arrays=False, token=f"jpeg-{name}")


def _forward(
    operation: Operation, plan: Plan, size: Size, needs: tuple[bool, ...], count: int, *chunks: Any
) -> tuple[Arrays, Arrays]:
    with share_of_threads(count):
        inputs = tuple(map(only, chunks))
        return _backend(plan).forward(operation, plan, size, numpy_namespace.xp, inputs, needs)


def _vjp(
    operation: Operation, plan: Plan, size: Size, needs: tuple[bool, ...], count: int, inputs: int, made: Any,
    *chunks: Any,
) -> tuple[Cotangents]:  # fmt: skip
    outputs, residuals = made
    arrays = [None if chunk is None else only(chunk) for chunk in chunks]
    cotangents = tuple(
        [None if g is None else g.reshape(x.shape) for g, x in zip(arrays[inputs:], outputs, strict=True)]
    )
    with share_of_threads(count):
        given = tuple(arrays[:inputs])
        pulled = _backend(plan).vjp(operation, plan, size, numpy_namespace.xp, given, residuals, cotangents, needs)
    return (pulled,)


def only(chunk: Any) -> Any:
    # Dask gives a list per axis that the tuples lack, each of one chunk; to have it concatenate them would copy.
    while isinstance(chunk, list):
        (chunk,) = chunk
    return chunk


def share_of_threads(count: int) -> Any:
    """Dask works on as many chunks at once as there are CPUs; threads of ours are for what it leaves idle."""
    return threads.at_most(max(1, threads.cpus() // count))


def _backend(plan: Plan) -> backends.Backend:
    backend = backends.get(plan.backend)
    if not backend.is_available():
        raise RuntimeError(
            f"backend {plan.backend!r}, chosen where the graph was made, is not available on this worker: install "
            "pyjpegdiff alike on all machines, or name another with pyjpegdiff.backends.use_backend"
        )
    return backend


# --- arrays from the tuples -------------------------------------------------------------------------------------------


class _Picked(NamedTuple):
    """One array of each tuple; along batch axes that chunks share it has length 1 for each of them."""

    array: Any
    shared: Labels
    missing: int
    """How many batch axes it has that the result does not have; the first ones."""
    representatives: tuple[int, ...]
    """Which chunk stands for all, of each batch axis."""

    def first(self) -> Any:
        """Of what chunks share, that of one."""
        one = [slice(n, n + 1) if axis in self.shared else slice(None) for axis, n in enumerate(self.representatives)]
        return self.array[tuple(one)][(0,) * self.missing]

    def summed(self) -> Any:
        """Of what chunks share, the sum."""
        return self.array.sum(axis=self.shared, keepdims=True)[(0,) * self.missing] if self.shared else self.array


def pick(tuples: Any, place: int, labels: Labels, type_: ArrayType) -> _Picked:
    chunks = tuples.chunks
    missing = _missing(labels, len(chunks))
    lengths = dict(zip(labels, type_.shape, strict=True))
    batch = tuple(range(len(chunks)))
    shared = tuple([label for label in batch if label in missing or not _varies(lengths[label], label, chunks)])
    array = da.blockwise(
        functools.partial(_at, place, len(missing)), (*missing, *labels), tuples, batch,
        new_axes={label: n for label, n in lengths.items() if label not in batch},
        adjust_chunks=dict.fromkeys(shared, 1), meta=np.empty((0,) * (len(missing) + len(labels)), type_.dtype),
        dtype=type_.dtype, align_arrays=False, token="jpeg-at",
    )  # fmt: skip
    return _Picked(array, shared, len(missing), tuple(map(_representative, chunks)))


def _at(place: int, missing: int, results: Any) -> Any:
    array = results[0][place]
    return array.reshape((1,) * missing + array.shape)
