"""The bits of coefficients as a function of JAX, with a rule for its derivative."""

import functools
from typing import Any

import jax

from pyjpegdiff import scan
from pyjpegdiff.adapters import NO_SECOND
from pyjpegdiff.adapters._jax_ops import jax_namespace

Sampling = tuple[int, int] | None
Arrays = tuple[Any, ...]

NO_TRACER = (
    "pyjpegdiff: huffman='optimized' is not supported under jax.jit, vmap or grad: its tables are made by the host, "
    "from counts that a tracer does not have; call jpeg_rate or jpeg_rate_vjp outside, on a batch, or take 'standard'"
)

# Of both functions the first two arguments are static.
_with_rule = functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))


@_with_rule
def _rate(sampling: Sampling, huffman: str, blocks: Arrays) -> Any:
    with jax.default_matmul_precision("highest"):
        return scan.scan(jax_namespace, sampling, huffman, blocks).bits()


@_with_rule
def _rate_vjp(sampling: Sampling, huffman: str, cotangent: Any, blocks: Arrays) -> Arrays:
    with jax.default_matmul_precision("highest"):
        return scan.scan(jax_namespace, sampling, huffman, blocks).bits_vjp(cotangent)


def _rate_fwd(sampling: Sampling, huffman: str, blocks: Arrays) -> tuple[Any, Arrays]:
    return _rate(sampling, huffman, blocks), blocks


def _rate_bwd(sampling: Sampling, huffman: str, blocks: Arrays, cotangent: Any) -> tuple[Arrays]:
    return (_rate_vjp(sampling, huffman, cotangent, blocks),)


def _rate_vjp_fwd(sampling: Sampling, huffman: str, cotangent: Any, blocks: Arrays) -> tuple[Arrays, None]:
    return _rate_vjp(sampling, huffman, cotangent, blocks), None


def _rate_vjp_bwd(sampling: Sampling, huffman: str, kept: None, cotangents: Arrays) -> Any:
    raise NotImplementedError(NO_SECOND)


_rate.defvjp(_rate_fwd, _rate_bwd)
_rate_vjp.defvjp(_rate_vjp_fwd, _rate_vjp_bwd)

# Compiled, as all calls are, but where the host takes part.
_compiled = functools.partial(jax.jit, static_argnums=(0, 1))
_rate_compiled, _rate_vjp_compiled = _compiled(_rate), _compiled(_rate_vjp)


def bits(sampling: Sampling, huffman: str, blocks: Arrays) -> Any:
    """Bits from blocks."""
    if huffman == "standard":
        return _rate_compiled(sampling, huffman, blocks)
    _refuse_tracers(blocks)
    return _rate(sampling, huffman, blocks)


def bits_vjp(sampling: Sampling, huffman: str, cotangent: Any, blocks: Arrays) -> Arrays:
    """Cotangents of blocks."""
    if huffman == "standard":
        return _rate_vjp_compiled(sampling, huffman, cotangent, blocks)
    _refuse_tracers(blocks)
    return _rate_vjp(sampling, huffman, cotangent, blocks)


def _refuse_tracers(blocks: Arrays) -> None:
    if any(isinstance(x, jax.core.Tracer) for x in blocks):
        raise NotImplementedError(NO_TRACER)
