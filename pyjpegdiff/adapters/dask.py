"""JPEG for Dask arrays, lazily: batches larger than memory, on all cores or on a cluster.

The functions of `pyjpegdiff`, with the same signatures; those call these for Dask arrays. They build a graph and
compute nothing: shapes and dtypes of all results are known before. Each chunk of the batch is one task, in which the
same code runs as for a NumPy array, so values equal NumPy's.

Chunks may cut batch axes only. An image that is cut along its channels, rows or columns is refused, as Dask's own
functions refuse core dimensions that are cut: JPEG takes whole images, and to put them together moves all data and
may take more memory than there is, which the caller should decide. The error names the `dask.array.rechunk` that does
it. Axes of unknown length are refused, too.

Quality, tables and color conversion may be Dask or NumPy arrays, cut in any way: they are cut as the image is. The
cotangent of a parameter that several chunks share is summed over them. Several results should be computed at once, by
``dask.compute(image, *gradients)``: then they share one forward pass.

Pixel values are never looked at, so that no warning tells of 0..1 images that came without ``data_range``. Where there
are more chunks than CPUs, each chunk takes one thread; else chunks share the CPUs. Chunks must be NumPy arrays.

Examples
--------
>>> import dask
>>> import dask.array as da
>>> import numpy as np
>>> from pyjpegdiff import diff_jpeg_coding_vjp
>>> images = da.random.default_rng(0).uniform(0, 255, (8, 3, 32, 48), chunks=(2, 3, 32, 48))
>>> quality = np.linspace(20, 90, 8)  # one per image
>>> wrt = ("image_rgb", "jpeg_quality", "quantization_table_y")
>>> result, vjp = diff_jpeg_coding_vjp(images, quality, ste=True, wrt=wrt)
>>> result
dask.array<jpeg-at, shape=(8, 3, 32, 48), dtype=float64, chunksize=(2, 3, 32, 48), chunktype=numpy.ndarray>
>>> gradients = vjp(2 * (result - images))
>>> of_images, of_quality, of_table = dask.compute(*gradients[:3])
>>> of_images.shape, of_quality.shape, of_table.shape  # that of the table is a sum over four chunks
((8, 3, 32, 48), (8,), (8, 8))
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import dask.array as da
import numpy as np
from array_api_compat import array_namespace

from pyjpegdiff import api, arguments, arrays, backends, checks, execution, rate
from pyjpegdiff.adapters import _dask_rate
from pyjpegdiff.adapters._dask_chunks import Chunks, as_dask, labels_of, require_whole
from pyjpegdiff.arguments import NUMPY, Call, Library
from pyjpegdiff.operations import BLOCKS, CODE, DECODE, ENCODE, Operation
from pyjpegdiff.results import Coefficients
from pyjpegdiff.types import AnyArray, Array

__all__ = [
    "diff_jpeg_coding",
    "diff_jpeg_coding_vjp",
    "jpeg_decode",
    "jpeg_decode_vjp",
    "jpeg_encode",
    "jpeg_encode_vjp",
    "jpeg_rate",
    "jpeg_rate_vjp",
]

P = ParamSpec("P")
R = TypeVar("R")


def _owns(value: object) -> bool:
    # A subclass of NumPy's array, such as a masked one, would lose what it holds beside numbers.
    return type(value._meta) is np.ndarray if isinstance(value, da.Array) else NUMPY.owns(value)


LIBRARY = Library(
    array_namespace(da.zeros(0)),
    _owns,
    "dask.array.Array of numpy.ndarray chunks",
    lambda xp, values, dtype, device: as_dask(arrays.constant(NUMPY.xp, values, dtype, device)),
    lambda spec, xp, device: backends.choose(spec, NUMPY.xp, device),
)


def _adapted(function: Callable[P, R], operation: Operation, check: Callable[..., Call]) -> Callable[P, R]:
    """A public function for Dask arrays."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def adapted(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = {name: _ready(name, value) for name, value in bound.arguments.items()}
        wrt = given.pop("wrt", None)
        call = check(LIBRARY, **given)
        _require_whole_images(operation, call)
        if "wrt" in signature.parameters:
            return execution.run_with_vjp(operation, call, wrt, Chunks())  # type: ignore[return-value]
        return execution.run(operation, call, Chunks())

    adapted.__module__ = __name__
    adapted.__doc__ = f"`pyjpegdiff.{function.__name__}` of Dask arrays."
    return adapted


def _ready(name: str, value: Any) -> Any:
    """An argument with its NumPy arrays as Dask's, and without axes of unknown length."""
    if name == "coefficients" and isinstance(value, tuple) and len(value) == len(Coefficients._fields):
        named = zip(Coefficients._fields, value, strict=True)
        return Coefficients(*[x if part == "size" else _ready(f"{name}.{part}", x) for part, x in named])
    if isinstance(value, da.Array) and not all(length == length for length in value.shape):
        raise ValueError(
            f"{name} must have axes of known lengths, got shape {value.shape}; its compute_chunk_sizes() finds them"
        )
    is_plain = isinstance(value, np.ndarray) and not isinstance(value, checks.NOT_PLAIN)
    return as_dask(value) if is_plain else value


def _require_whole_images(operation: Operation, call: Call) -> None:
    names = list(call.inputs)
    first: Any = call.inputs[names[0]]
    batch_ndim = first.ndim - operation.core_ndims(call.plan, (names[0],))[0]
    for name in names:
        x: Any = call.inputs[name]
        label = f"coefficients.{name}" if name in BLOCKS else name
        require_whole(label, name, x, labels_of(operation, call.plan, name, x.ndim, batch_ndim), batch_ndim)


diff_jpeg_coding = _adapted(api.diff_jpeg_coding, CODE, arguments.coding)
diff_jpeg_coding_vjp = _adapted(api.diff_jpeg_coding_vjp, CODE, arguments.coding)
jpeg_encode = _adapted(api.jpeg_encode, ENCODE, arguments.coding)
jpeg_encode_vjp = _adapted(api.jpeg_encode_vjp, ENCODE, arguments.coding)
jpeg_decode = _adapted(api.jpeg_decode, DECODE, arguments.decoding)
jpeg_decode_vjp = _adapted(api.jpeg_decode_vjp, DECODE, arguments.decoding)


def jpeg_rate(coefficients: Coefficients, *, huffman: str = "standard") -> AnyArray:
    """`pyjpegdiff.jpeg_rate` of Dask arrays; values that a file cannot hold raise where a chunk is computed."""
    return _dask_rate.jpeg_rate(*_rate_arguments(coefficients, huffman))


def jpeg_rate_vjp(
    coefficients: Coefficients, *, huffman: str = "standard"
) -> tuple[AnyArray, Callable[[Array], Coefficients]]:
    """`pyjpegdiff.jpeg_rate_vjp` of Dask arrays."""
    return _dask_rate.jpeg_rate_vjp(*_rate_arguments(coefficients, huffman))


def _rate_arguments(coefficients: Coefficients, huffman: str) -> tuple[Call, str]:
    call, huffman = rate.checked(LIBRARY, _ready("coefficients", coefficients), huffman)
    _require_whole_images(DECODE, call)
    return call, huffman
