"""JAX: the functions of `pyjpegdiff`, to be transformed and compiled as any function of JAX.

Supported are `jax.jit`, ``grad``, ``value_and_grad``, ``vjp``, ``jacrev``, ``vmap`` over any arguments and axes,
``checkpoint``, `jax.lax.scan`, `jax.lax.map`, ``shard_map`` and ``pmap`` over batches, and these within each other. The
plain functions of `pyjpegdiff` call these for JAX arrays. Nothing calls back to Python. Outside of ``jit``, too, a call
is compiled, once for each shape and set of choices. Forward mode and second derivatives raise, and so does the
derivative of what a custom ``rounding`` closes over.

Where JAX computes on the CPU by default, XLA calls the compiled kernels of NumPy arrays, with its own memory and
threads. For other devices, with a custom ``rounding``, and where the kernels were not built, it compiles the same array
code that other libraries run; ``use_backend("array_api")`` has it do so on the CPU, too. Take that for ``jax.export``,
since what is exported should not need this library, and for arrays that a mesh of automatic axes shards over several
CPU devices: each of them would call the kernels for the whole batch.

Arrays may be JAX's or NumPy's. All choices are static: where they are arguments of a function under ``jit``, name them
in ``static_argnames``. A quality that is a Python number is checked for range; one that ``jit`` traces, or an array, is
clipped to it.

`pyjpegdiff.Coefficients` is a pytree: arrays are its leaves, ``size`` and ``subsampling`` belong to its structure.
Functions under ``jit``, ``vmap`` and ``scan`` may take and return it. It becomes one when this module is imported, at
the latest by the first call with a JAX array.

Images are computed in float32 unless they are float64, which JAX has where ``jax_enable_x64`` is set; bfloat16 and
float16 images are returned in their dtype, integers as float32. Images of 0..1 need ``data_range=1``, and no warning
tells. libjpeg arithmetic is exact with and without float64. Arrays on several devices may be sharded along batch axes,
under ``shard_map`` or on a mesh of automatic axes.

No GPU or TPU has run this yet.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import Array

from pyjpegdiff import arguments, backends, checks, execution, numpy_namespace, rate, scan
from pyjpegdiff.adapters import _jax_kernels, _jax_rate
from pyjpegdiff.adapters._jax_ops import Transformable, jax_namespace
from pyjpegdiff.arguments import Call, Library
from pyjpegdiff.arrays import constant
from pyjpegdiff.backends.cpu_kernels import CpuKernels
from pyjpegdiff.operations import CODE, DECODE, ENCODE, Operation
from pyjpegdiff.results import CodingGradients, Coefficients, DecodingGradients
from pyjpegdiff.spec import Spec
from pyjpegdiff.types import Rounding

__all__ = [
    "Coefficients",
    "diff_jpeg_coding",
    "diff_jpeg_coding_vjp",
    "jpeg_decode",
    "jpeg_decode_vjp",
    "jpeg_encode",
    "jpeg_encode_vjp",
    "jpeg_rate",
    "jpeg_rate_vjp",
]


def _constant(xp: Any, values: Any, dtype: Any, device: Any) -> Any:
    # NumPy's are kept, and cost little to hand over; whoever compiles folds them.
    return constant(numpy_namespace.xp, values, np.dtype(dtype), None)


def _choose(spec: Spec, xp: Any, device: Any) -> str:
    """As `pyjpegdiff.backends.choose`, where the kernels of NumPy arrays may serve those of JAX."""
    if isinstance(spec.rounding, str) and _jax_kernels.are_here():
        found = backends.choose(spec, numpy_namespace.xp, None)
        if found == CpuKernels.name:
            return found
    return backends.choose(spec, xp, device)


# Tracers have no device, and JAX itself brings arguments together.
LIBRARY = Library(
    jax_namespace,
    lambda other: isinstance(other, jax.Array),
    "jax.Array",
    constant=_constant,
    choose=_choose,
    device=lambda array: None,
)

jax.tree_util.register_dataclass(
    Coefficients,
    data_fields=[name for name in Coefficients._fields if name not in ("size", "subsampling")],
    meta_fields=["size", "subsampling"],
)


def diff_jpeg_coding(
    image_rgb: Array,
    jpeg_quality: Array | float,
    quantization_table_y: Array | None = None,
    quantization_table_c: Array | None = None,
    ste: bool = False,
    *,
    arithmetic: str = "float",
    subsampling: str = "4:2:0",
    rounding: Rounding = "rational",
    flooring: str | None = None,
    steps_gradient: str | None = None,
    color_matrix: Array | None = None,
    color_offset: Array | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> Array:
    """`pyjpegdiff.diff_jpeg_coding` of JAX arrays, to be transformed and compiled as any function of JAX.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from pyjpegdiff.adapters.jax import diff_jpeg_coding
    >>> images = 255 * jax.random.uniform(jax.random.key(0), (2, 3, 32, 32))
    >>> def loss(images, quality):
    ...     return jnp.mean((diff_jpeg_coding(images, quality, ste=True) - images) ** 2)
    >>> of_images, of_quality = jax.jit(jax.grad(loss, argnums=(0, 1)))(images, jnp.asarray([20.0, 80.0]))
    >>> of_images.shape, of_quality.shape  # one quality per sample
    ((2, 3, 32, 32), (2,))
    """
    return _run(CODE, arguments.coding, locals())


def jpeg_encode(
    image_rgb: Array,
    jpeg_quality: Array | float,
    quantization_table_y: Array | None = None,
    quantization_table_c: Array | None = None,
    ste: bool = False,
    *,
    arithmetic: str = "float",
    subsampling: str = "4:2:0",
    rounding: Rounding = "rational",
    flooring: str | None = None,
    steps_gradient: str | None = None,
    color_matrix: Array | None = None,
    color_offset: Array | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> Coefficients:
    """`pyjpegdiff.jpeg_encode` of JAX arrays; coefficients and step sizes are differentiable.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from pyjpegdiff.adapters.jax import jpeg_encode
    >>> images = 255 * jax.random.uniform(jax.random.key(0), (5, 3, 32, 40))
    >>> coefficients = jax.jit(jax.vmap(lambda image: jpeg_encode(image, 50, ste=True)))(images)
    >>> coefficients.y.shape, coefficients.size
    ((5, 4, 5, 8, 8), (32, 40))
    >>> rate = jax.grad(lambda quality: jnp.abs(jpeg_encode(images, quality, ste=True).y).sum())(50.0)
    >>> bool(rate > 0)  # a higher quality stores more
    True
    """
    return _run(ENCODE, arguments.coding, locals())


def jpeg_decode(
    coefficients: Coefficients,
    ste: bool = False,
    *,
    arithmetic: str = "float",
    color_matrix: Array | None = None,
    color_offset: Array | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> Array:
    """`pyjpegdiff.jpeg_decode` of JAX arrays.

    Examples
    --------
    >>> import jax
    >>> from pyjpegdiff.adapters.jax import jpeg_decode, jpeg_encode
    >>> image = 255 * jax.random.uniform(jax.random.key(0), (3, 32, 32))
    >>> jax.grad(lambda image: jpeg_decode(jpeg_encode(image, 50)).mean())(image).shape
    (3, 32, 32)
    """
    return _run(DECODE, arguments.decoding, locals())


def jpeg_rate(coefficients: Coefficients, *, huffman: str = "standard") -> Array:
    """`pyjpegdiff.jpeg_rate` of JAX arrays: exact bits, with the derivative that `pyjpegdiff.jpeg_rate_vjp` explains.

    Their values are not looked at. Without float64 bits are float32, exact to 2^24. ``"optimized"`` is for arrays
    outside of JAX's transformations.

    Examples
    --------
    >>> import jax
    >>> from pyjpegdiff.adapters.jax import jpeg_encode, jpeg_rate
    >>> image = 255 * jax.random.uniform(jax.random.key(0), (3, 32, 32))
    >>> gradient = jax.grad(lambda image: jpeg_rate(jpeg_encode(image, 60, rounding="identity")))(image)
    >>> bool(abs(gradient).sum() > 0)
    True
    """
    call, huffman = rate.checked(LIBRARY, **_to_jax({"coefficients": coefficients}), huffman=huffman)
    bits: Array = _jax_rate.bits(call.plan.spec.sampling, huffman, scan.blocks_of(call))
    return bits


def jpeg_rate_vjp(
    coefficients: Coefficients, *, huffman: str = "standard"
) -> tuple[Array, Callable[[Array], Coefficients]]:
    """`pyjpegdiff.jpeg_rate_vjp` of JAX arrays, as `diff_jpeg_coding_vjp` is."""
    call, huffman = rate.checked(LIBRARY, **_to_jax({"coefficients": coefficients}), huffman=huffman)
    sampling, blocks = call.plan.spec.sampling, scan.blocks_of(call)
    pull = rate.vjp_of(call, lambda g: _jax_rate.bits_vjp(sampling, huffman, g, blocks))
    return _jax_rate.bits(sampling, huffman, blocks), pull


def diff_jpeg_coding_vjp(
    image_rgb: Array,
    jpeg_quality: Array | float,
    quantization_table_y: Array | None = None,
    quantization_table_c: Array | None = None,
    ste: bool = False,
    *,
    wrt: Sequence[str] = ("image_rgb",),
    arithmetic: str = "float",
    subsampling: str = "4:2:0",
    rounding: Rounding = "rational",
    flooring: str | None = None,
    steps_gradient: str | None = None,
    color_matrix: Array | None = None,
    color_offset: Array | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> tuple[Array, Callable[[Array], CodingGradients]]:
    """`pyjpegdiff.diff_jpeg_coding_vjp` of JAX arrays, for those who carry cotangents themselves.

    The image is that of `diff_jpeg_coding`, under `jax.grad` too; a derivative of the cotangents raises.
    """
    return _run_with_vjp(CODE, arguments.coding, locals())


def jpeg_encode_vjp(
    image_rgb: Array,
    jpeg_quality: Array | float,
    quantization_table_y: Array | None = None,
    quantization_table_c: Array | None = None,
    ste: bool = False,
    *,
    wrt: Sequence[str] = ("image_rgb",),
    arithmetic: str = "float",
    subsampling: str = "4:2:0",
    rounding: Rounding = "rational",
    flooring: str | None = None,
    steps_gradient: str | None = None,
    color_matrix: Array | None = None,
    color_offset: Array | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> tuple[Coefficients, Callable[[Coefficients], CodingGradients]]:
    """`pyjpegdiff.jpeg_encode_vjp` of JAX arrays, as `diff_jpeg_coding_vjp` is."""
    return _run_with_vjp(ENCODE, arguments.coding, locals())


def jpeg_decode_vjp(
    coefficients: Coefficients,
    ste: bool = False,
    *,
    wrt: Sequence[str] = ("coefficients",),
    arithmetic: str = "float",
    color_matrix: Array | None = None,
    color_offset: Array | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> tuple[Array, Callable[[Array], DecodingGradients]]:
    """`pyjpegdiff.jpeg_decode_vjp` of JAX arrays, as `diff_jpeg_coding_vjp` is."""
    return _run_with_vjp(DECODE, arguments.decoding, locals())


# --- running a call ---------------------------------------------------------------------------------------------------


def _run(operation: Operation, check: Callable[..., Call], given: dict[str, Any]) -> Any:
    return execution.run(operation, check(LIBRARY, **_to_jax(given)), Transformable())


def _run_with_vjp(operation: Operation, check: Callable[..., Call], given: dict[str, Any]) -> Any:
    wrt = given.pop("wrt")
    return execution.run_with_vjp(operation, check(LIBRARY, **_to_jax(given)), wrt, Transformable())


def _to_jax(given: dict[str, Any]) -> dict[str, Any]:
    """Arguments, with NumPy's arrays as JAX's."""
    converted = {name: _array_to_jax(name, value) for name, value in given.items()}
    coefficients = converted.get("coefficients")
    if isinstance(coefficients, Coefficients):
        arrays = {name: _array_to_jax(f"coefficients.{name}", x) for name, x in coefficients._asdict().items()}
        converted["coefficients"] = Coefficients(**arrays)
    return converted


def _array_to_jax(name: str, value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    checks.plain(name, value)
    return jax_namespace.asarray(value)
