"""README's table of what works where: each cell that says so is a check of it, run where its device is."""

import contextlib
import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from pyjpegdiff import diff_jpeg_coding, diff_jpeg_coding_vjp
from pyjpegdiff.backends import use_backend
from tests.libraries import CASES
from tests.photos import pillow
from tests.samples import noisy_ramp, photo_like

ROOT = Path(__file__).parents[1]
HEADER = "| library | device | eager | compiled | gradient | vmap | libjpeg arithmetic |"
YES, LAZY, ABSENT, NOT_RUN = "yes", "lazy", "none", "not yet run"

IMAGES = photo_like(np.random.default_rng(0), (2, 3, 24, 40))
QUALITY = np.array([33.3, 76.7])
TABLE = np.random.default_rng(1).uniform(5, 60, (8, 8))
ARGUMENTS = (IMAGES, QUALITY, TABLE)
COTANGENT = np.random.default_rng(2).standard_normal(IMAGES.shape)
WRT = ("image_rgb", "jpeg_quality", "quantization_table_y")


def code(images, quality, table):
    return diff_jpeg_coding(images, quality, table)


# --- how a library is used --------------------------------------------------------------------------------------------


class Way(NamedTuple):
    """How a library is used on a device; by default, as one that has nothing but arrays."""

    namespace: Any
    put: Callable[[np.ndarray], Any]
    """An array of NumPy's there, in its dtype."""
    take: Callable[[Any], np.ndarray]
    """The values of an array there, which fails for any other array."""
    pull: Callable[..., Any] | None = None
    """By means of the library, of a function, its arguments and a cotangent: the result, the arguments' cotangents."""
    compiled: Callable[..., Any] | None = None
    vmap: Callable[..., Any] | None = None
    """Of a function and the mapped axis of each argument."""
    mappable_pull: Callable[..., Any] | None = None
    """As ``pull``, for what ``vmap`` takes."""
    context: Callable[[], Any] = contextlib.nullcontext
    """In which all of it is used."""
    unevaluated: Callable[[], Any] = contextlib.nullcontext
    """In which nothing can be evaluated, where the library is lazy."""


def _by_case(name):
    case = CASES[name]()

    def take(x):
        assert type(x) is type(case.array([0.0]))
        assert x.device == case.array([0.0]).device
        return case.numpy(x)

    return Way(case.xp, lambda x: case.array(x, x.dtype.name), take)


def _torch(name):
    way = _by_case(name)
    import torch

    from tests.adapters.tensors import compiled

    def pull(function, arguments, cotangent):
        leaves = [x.requires_grad_() for x in arguments]
        coded = function(*leaves)
        return coded, torch.autograd.grad(coded, leaves, cotangent)

    def mappable_pull(function, arguments, cotangent):
        coded, vjp = torch.func.vjp(function, *arguments)
        return coded, vjp(cotangent)

    return way._replace(
        take=lambda x: way.take(x.detach()),
        pull=pull,
        compiled=compiled,
        vmap=torch.vmap,
        mappable_pull=mappable_pull,
    )


def _jax(platform):
    jax = pytest.importorskip("jax")
    try:
        device = jax.devices(platform)[0]
    except RuntimeError:
        pytest.skip(f"JAX has no {platform} here")

    def take(x):
        assert isinstance(x, jax.Array)
        assert x.devices() == {device}
        return np.asarray(x)

    def pull(function, arguments, cotangent):
        coded, vjp = jax.vjp(function, *arguments)
        return coded, vjp(cotangent)

    return Way(
        jax.numpy,
        lambda x: jax.device_put(x, device),
        take,
        pull,
        jax.jit,
        jax.vmap,
        pull,
        context=lambda: jax.enable_x64(True),
    )


def _dask():
    dask = pytest.importorskip("dask")
    array = pytest.importorskip("dask.array")

    def take(x):
        assert isinstance(x, array.Array)
        return x.compute(scheduler="synchronous")

    def refuse(*args, **kwargs):
        raise AssertionError("a lazy library's array was computed")

    return Way(
        array,
        lambda x: array.from_array(x, chunks=(1, *x.shape[1:])) if x.ndim > 2 else array.from_array(x),
        take,
        unevaluated=lambda: dask.config.set(scheduler=refuse),
    )


WAYS = {
    ("NumPy", "CPU"): lambda: _by_case("numpy"),
    ("CuPy", "GPU"): lambda: _by_case("cupy"),
    ("PyTorch", "CPU"): lambda: _torch("torch"),
    ("PyTorch", "GPU"): lambda: _torch("torch-cuda"),
    ("JAX", "CPU"): lambda: _jax("cpu"),
    ("JAX", "GPU"): lambda: _jax("gpu"),
    ("JAX", "TPU"): lambda: _jax("tpu"),
    ("Dask", "CPU"): _dask,
    ("array-api-strict", "CPU"): lambda: _by_case("strict"),
}

# --- what the columns say ---------------------------------------------------------------------------------------------


@functools.cache
def _expected():
    """By the array code, which the compiled kernels do not share."""
    with use_backend("array_api"):
        return code(*ARGUMENTS)


def _require_values(way, coded):
    np.testing.assert_allclose(way.take(coded), _expected(), rtol=0, atol=1e-10)


@functools.cache
def _slopes():
    """A direction of each argument, and the derivative along it: the central difference of the smooth variant."""
    rng, h, found = np.random.default_rng(3), 1e-5, []
    for place, x in enumerate(ARGUMENTS):
        direction = rng.standard_normal(x.shape)
        with use_backend("array_api"):
            above, below = (code(*ARGUMENTS[:place], x + s * direction, *ARGUMENTS[place + 1 :]) for s in (h, -h))
        found.append((direction, ((above - below) * COTANGENT).sum() / (2 * h)))
    return found


def _require_pulled(way, coded, gradients):
    _require_values(way, coded)
    for g, (direction, slope) in zip(gradients, _slopes(), strict=True):
        assert abs(slope) > 1
        # Values of 10^2 have errors of some 10^-13. The sum of 5760 has 76 times that, and is divided by 2h: 4 10^-7.
        np.testing.assert_allclose((way.take(g) * direction).sum(), slope, rtol=0, atol=2e-6)


def check_eager(way):
    with way.unevaluated():
        coded = code(*map(way.put, ARGUMENTS))
    _require_values(way, coded)


def check_compiled(way):
    _require_pulled(way, *way.pull(way.compiled(code), [*map(way.put, ARGUMENTS)], way.put(COTANGENT)))


def check_gradient(way):
    with way.unevaluated():
        coded, vjp = diff_jpeg_coding_vjp(*map(way.put, ARGUMENTS), wrt=WRT)
        gradients = vjp(way.put(COTANGENT))
    _require_pulled(way, coded, gradients[: len(WRT)])
    if way.pull is not None:
        _require_pulled(way, *way.pull(code, [*map(way.put, ARGUMENTS)], way.put(COTANGENT)))


def check_vmap(way):
    dims = (0, 0, None)  # one table for all, whose gradient is a sum over samples
    _require_values(way, way.vmap(code, dims)(*map(way.put, ARGUMENTS)))

    def of_sample(*arguments):
        return way.mappable_pull(code, arguments[:-1], arguments[-1])

    coded, (*others, table) = way.vmap(of_sample, (*dims, 0))(*map(way.put, (*ARGUMENTS, COTANGENT)))
    _require_pulled(way, coded, (*others, table.sum(0)))


def check_libjpeg(way):
    pixels = np.stack([noisy_ramp(seed, 24, 40) for seed in range(8)])
    qualities = np.array([1.0, 10, 25, 50, 75, 90, 95, 100])
    with way.unevaluated():
        coded = diff_jpeg_coding(*map(way.put, (pixels, qualities)), arithmetic="libjpeg", channel_axis=-1)
    want = [pillow(image, int(quality)) for image, quality in zip(pixels, qualities, strict=True)]
    np.testing.assert_array_equal(way.take(coded), want)


CHECKS = {
    "eager": check_eager,
    "compiled": check_compiled,
    "gradient": check_gradient,
    "vmap": check_vmap,
    "libjpeg arithmetic": check_libjpeg,
}

NAMES = {"compiled": ("compile", "jit"), "vmap": ("vmap",)}
"""What the function behind a column is called in the libraries that have one; all have the rest."""

# --- the table --------------------------------------------------------------------------------------------------------


def table_of(text):
    """(library, device) of each row, and what its cells say of each column."""
    lines = text[text.index(HEADER) :].partition("\n\n")[0].splitlines()
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {(library, device): dict(zip(header[2:], cells, strict=True)) for library, device, *cells in rows}


ROWS = table_of((ROOT / "README.md").read_text())


def test_the_table_has_all_rows_and_columns():
    assert ROWS.keys() == WAYS.keys()
    assert all(row.keys() == CHECKS.keys() for row in ROWS.values())


@pytest.mark.parametrize("column", CHECKS)
@pytest.mark.parametrize("row", ROWS, ids="-".join)
def test_cell(row, column):
    says = ROWS[row][column]
    try:
        way = WAYS[row]()
    except pytest.skip.Exception:
        if row[1] != "CPU":
            assert says in (NOT_RUN, ABSENT), f"{row} has no device here, where the table is checked"
        raise
    if says == ABSENT:
        assert not any(hasattr(way.namespace, name) for name in NAMES[column])
        return
    assert says in (NOT_RUN, LAZY if column == "eager" and row[0] == "Dask" else YES)
    with way.context():
        CHECKS[column](way)


def test_the_manual_has_the_same_table():
    page = (ROOT / "docs" / "index.md").read_text()
    readme = (ROOT / "README.md").read_text()
    parts = [
        readme.partition(start.replace("\\n", "\n"))[2].partition(end.replace("\\n", "\n"))[0]
        for start, end in re.findall(r'\{include\} ../README.md\n:start-after: "(.*)"\n:end-before: "(.*)"', page)
    ]
    assert HEADER not in page
    assert [table_of(part) for part in parts if HEADER in part] == [ROWS]
