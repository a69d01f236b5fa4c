"""torch.func.vmap over every argument of every operation, against a Python loop.

A case is one call, whose tensors have up to three batch axes, with up to two axes more that are mapped, at any place.
"""

import functools
from typing import Any, NamedTuple

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

torch = pytest.importorskip("torch")

from torch.func import grad, jacrev, vjp, vmap  # noqa: E402

from pyjpegdiff.adapters.torch import (  # noqa: E402
    Coefficients,
    diff_jpeg_coding,
    diff_jpeg_coding_vjp,
    jpeg_decode,
    jpeg_decode_vjp,
    jpeg_encode,
    jpeg_encode_vjp,
)
from pyjpegdiff.backends import use_backend  # noqa: E402
from pyjpegdiff.stages.color import MATRIX  # noqa: E402
from tests.samples import HOST_BACKENDS, MODES  # noqa: E402

SIZE = (9, 11)
PARAMETERS = {
    "jpeg_quality": (),
    "quantization_table_y": (8, 8),
    "quantization_table_c": (8, 8),
    "color_matrix": (3, 3),
    "color_offset": (3,),
}
BLOCKS = {"y": (2, 2, 8, 8), "cb": (1, 1, 8, 8), "cr": (1, 1, 8, 8)}
STEPS = {"steps_y": (8, 8), "steps_c": (8, 8)}
OF_CHROMA = ("quantization_table_c", "color_matrix", "color_offset", "cb", "cr", "steps_c")


class Case(NamedTuple):
    """A call, and what is mapped."""

    operation: str
    options: dict[str, Any]
    tensors: dict[str, Any]
    levels: list[dict[str, int | None]]
    """The mapped axis of each tensor, outermost level first."""
    needs: tuple[str, ...] = ()
    """Whose gradients are needed; all if empty."""

    def __repr__(self):
        shapes = {name: tuple(x.shape) for name, x in self.tensors.items()}
        return f"Case({self.operation}, {self.options}, {shapes}, {self.levels}, {self.needs})"


# --- a call on a flat tuple of tensors --------------------------------------------------------------------------------


def arguments(case, tensors):
    named = dict(zip(case.tensors, tensors, strict=True))
    if case.operation != "decode":
        return named
    parts = [named.pop(name, None) for name in ("y", "cb", "cr", "steps_y", "steps_c")]
    coefficients = Coefficients(*parts, SIZE, None if parts[1] is None else "4:2:0")
    return {"coefficients": coefficients, **named}


def arrays(result):
    """What vmap lets a function return."""
    if isinstance(result, torch.Tensor):
        return (result,)
    return tuple(x for x in result if isinstance(x, torch.Tensor))


def call(case, *tensors):
    function = {"code": diff_jpeg_coding, "encode": jpeg_encode, "decode": jpeg_decode}[case.operation]
    return arrays(function(**arguments(case, tensors), **case.options))


def weights(x):
    return torch.arange(x.numel(), dtype=x.dtype).cos().reshape(x.shape)


def loss(case, *tensors):
    return sum((x * weights(x)).sum() for x in call(case, *tensors))


def gradients(case, *tensors):
    argnums = tuple(index for index, name in enumerate(case.tensors) if name in (case.needs or case.tensors))
    return grad(functools.partial(loss, case), argnums=argnums)(*tensors)


def explicit_gradients(case, *tensors):
    """The same, by the functions that return a VJP."""
    given = arguments(case, tensors)
    of_coefficients = [name for name in case.needs if name not in given]
    wrt = tuple(
        name for name in given if name in case.needs or not case.needs or (name == "coefficients" and of_coefficients)
    )
    function = {"code": diff_jpeg_coding_vjp, "encode": jpeg_encode_vjp, "decode": jpeg_decode_vjp}[case.operation]
    result, pull = function(**given, **case.options, wrt=wrt)
    cotangent = (
        weights(result)
        if isinstance(result, torch.Tensor)
        else Coefficients(*[weights(x) if isinstance(x, torch.Tensor) else x for x in result])
    )
    pulled = pull(cotangent)._asdict()
    pulled |= (pulled.pop("coefficients", None) or Coefficients(*[None] * 7))._asdict()
    return tuple(pulled[name] for name in case.needs or case.tensors)


# --- a map and a loop -------------------------------------------------------------------------------------------------


def mapped(function, case, chunk_size=None):
    for level in reversed(case.levels):
        outermost = level is case.levels[0]
        function = vmap(function, in_dims=tuple(level.values()), chunk_size=chunk_size if outermost else None)
    return function(*case.tensors.values())


def looped(function, levels, tensors):
    if not levels:
        return function(*tensors)
    dims = tuple(levels[0].values())
    (count, *_) = [x.shape[dim] for x, dim in zip(tensors, dims, strict=True) if dim is not None]
    picked = [
        [x if dim is None else x.select(dim, index) for x, dim in zip(tensors, dims, strict=True)]
        for index in range(count)
    ]
    results = [looped(function, levels[1:], one) for one in picked]
    return tuple(torch.stack(parts) for parts in zip(*results, strict=True))


def check(function, case, chunk_size=None):
    function = functools.partial(function, case)
    got = mapped(function, case, chunk_size)
    expected = looped(function, case.levels, tuple(case.tensors.values()))
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * max(1.0, float(b.abs().max())))


# --- cases ------------------------------------------------------------------------------------------------------------


def values(rng, name, shape):
    """Numbers as an argument may have them; core dimensions last."""
    if name == "color_offset":
        return np.array([0.0, 128, 128]) + rng.uniform(-5, 5, shape)
    if name == "color_matrix":
        return np.array(MATRIX) * rng.uniform(0.95, 1.05, shape)
    low, high = {"image_rgb": (0, 255), "jpeg_quality": (3, 97)}.get(name, (-9, 9) if name in BLOCKS else (2, 50))
    return rng.uniform(low, high, shape)


def make_case(operation, options, batch_shape, parts, levels, seed=0, channel_axis=-3, gray=False):
    """``parts``: the batch shape of each parameter; ``levels``: for each, count and the place of each mapped axis."""
    rng = np.random.default_rng(seed)
    channels = 1 if gray else 3
    first = {"image_rgb": (channels, *SIZE)} if operation != "decode" else {}
    others = BLOCKS | STEPS | dict(list(PARAMETERS.items())[3:]) if operation == "decode" else PARAMETERS
    core_shapes = {
        name: core
        for name, core in {**first, **others}.items()
        if not (gray and name in OF_CHROMA) and not (options.get("arithmetic") and name.startswith("color"))
    }
    tensors = {}
    dims = [{} for _ in levels]
    for name, core in core_shapes.items():
        batch = batch_shape if name == "image_rgb" or name in BLOCKS else parts.get(name, ())
        counts = [count for count, places in levels if places.get(name) is not None]
        x = values(rng, name, (*counts, *batch, *core))
        if name == "image_rgb":
            from_end = channel_axis if channel_axis is None or channel_axis < 0 else channel_axis - len(batch) - 3
            x = x[..., 0, :, :] if channel_axis is None else np.moveaxis(x, -3, from_end)
        # The innermost mapped axis goes to its place first.
        places = [places[name] for _, places in levels if places.get(name) is not None]
        for index in reversed(range(len(places))):
            ndim = x.ndim - index
            places[index] = places[index] % ndim - (ndim if places[index] < 0 else 0)
            x = np.moveaxis(x, index, index + places[index] % ndim)
        left = iter(places)
        for level, (_, wished) in zip(dims, levels, strict=True):
            level[name] = None if wished.get(name) is None else next(left)
        tensors[name] = torch.from_numpy(np.ascontiguousarray(x))
    return Case(operation, {**options, "channel_axis": channel_axis}, tensors, dims)


@st.composite
def cases(draw, operation):
    gray = draw(st.sampled_from([False, False, True]), label="gray")
    batch_shape = tuple(draw(st.lists(st.integers(1, 2), max_size=3), label="batch shape"))
    axes = [-3, -1, 0, *range(-len(batch_shape) - 3, -3)]
    channel_axis = draw(st.sampled_from([None, *axes] if gray else axes), label="channel axis")
    parts = {}
    for name in (*PARAMETERS, *STEPS):
        start = draw(st.integers(0, len(batch_shape)))
        parts[name] = tuple(draw(st.sampled_from([1, n])) for n in batch_shape[start:])
    names = ["image_rgb", "jpeg_quality", "quantization_table_y"]
    names = ["y", "steps_y"] if operation == "decode" else names
    if not gray:
        names += [name for name in OF_CHROMA if (name in PARAMETERS) == (operation != "decode") or "color" in name]
    levels = []
    for _ in range(draw(st.integers(1, 2), label="levels")):
        chosen = draw(st.sets(st.sampled_from(names), min_size=1))
        levels.append((draw(st.integers(2, 3)), {name: draw(st.integers(-8, 8)) for name in chosen}))
    seed = draw(st.integers(0, 99))
    # libjpeg's color conversion is fixed.
    mode = draw(st.sampled_from(MODES if not any("color" in n for _, places in levels for n in places) else MODES[:2]))
    case = make_case(operation, mode, batch_shape, parts, levels, seed, channel_axis, gray)
    return case._replace(needs=tuple(sorted(draw(st.sets(st.sampled_from(list(case.tensors)))))))


FUNCTIONS = pytest.mark.parametrize("function", [call, gradients, explicit_gradients])
OPERATIONS = pytest.mark.parametrize("operation", ["code", "encode", "decode"])


@OPERATIONS
@FUNCTIONS
@given(data=st.data())
def test_map_is_a_loop(operation, function, data):
    check(function, data.draw(cases(operation)), data.draw(st.sampled_from([None, None, 1, 2]), label="chunk_size"))


# --- chosen cases -----------------------------------------------------------------------------------------------------


def random_image(*shape):
    return 255 * torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def assert_same(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)


@OPERATIONS
@FUNCTIONS
@pytest.mark.parametrize("backend", HOST_BACKENDS)
def test_nested_map_in_chunks(operation, function, backend):
    """The outer axis of all but the color matrix, which only the inner one maps; last and first axes."""
    parts = {"jpeg_quality": (2, 1), "quantization_table_c": (1, 1), "color_matrix": (2,), "steps_y": (1, 2)}
    outer = {"image_rgb": -1, "y": -1, "jpeg_quality": 1, "quantization_table_c": 0, "color_offset": 0, "steps_y": 0}
    inner = {"image_rgb": 2, "cb": 1, "jpeg_quality": 0, "color_matrix": -1}
    case = make_case(operation, {"ste": True}, (2, 2), parts, [(3, outer), (2, inner)])
    with use_backend(backend):
        check(function, case, chunk_size=2)


@OPERATIONS
@FUNCTIONS
@pytest.mark.parametrize("batch_shape", [(), (2,)])
def test_each_argument_alone(operation, function, batch_shape):
    """Each has a mapped axis where nothing else has one; only images and blocks have batch axes."""
    for named in make_case(operation, {}, (), {}, []).tensors:
        check(function, make_case(operation, {"ste": True}, batch_shape, {}, [(3, {named: -1})]))


def test_gradients_of_images_that_keep_a_batch_axis():
    def loss(image, quality):
        return diff_jpeg_coding(image[None], quality[None]).sum()

    images, qualities = random_image(2, 3, 16, 16), torch.tensor([30.0, 70.0], dtype=torch.float64)
    got = vmap(grad(loss, argnums=(0, 1)))(images, qualities)
    for index in range(2):
        expected = grad(loss, argnums=(0, 1))(images[index], qualities[index])
        assert_same([g[index] for g in got], list(expected))


def test_explicit_vjp_of_images_that_keep_a_batch_axis():
    images, cotangents = random_image(3, 2, 3, 16, 16), random_image(3, 2, 3, 16, 16) - 128
    pull = lambda image, cotangent: diff_jpeg_coding_vjp(image, 50.0)[1](cotangent).image_rgb
    got = vmap(pull)(images, cotangents)
    assert_same(got, torch.stack([pull(*pair) for pair in zip(images, cotangents, strict=True)]))


@OPERATIONS
def test_cotangents_alone_are_mapped(operation):
    """Jacobians: of every output entry on a diagonal, row by row."""
    case = make_case(operation, {"ste": True}, (2,), {"jpeg_quality": (2,), "steps_c": (1,)}, [])
    tensors = tuple(case.tensors.values())
    outputs, pull = vjp(functools.partial(call, case), *tensors)
    cotangents = tuple(torch.stack([weights(x + shift) for shift in range(3)]) for x in outputs)
    cotangents = tuple(g * torch.arange(1, 4).reshape(-1, *[1] * (g.ndim - 1)) for g in cotangents)
    got = vmap(pull)(cotangents)
    for index in range(3):
        assert_same([g[index] for g in got], list(pull(tuple(g[index] for g in cotangents))))


@OPERATIONS
@pytest.mark.parametrize("chunk_size", [None, 3])
def test_jacrev(operation, chunk_size):
    case = make_case(operation, {"ste": False}, (), {}, [])
    tensors = tuple(case.tensors.values())
    some = lambda *tensors: torch.cat([x.flatten()[::97] for x in call(case, *tensors)])
    argnums = tuple(range(len(tensors)))
    got = jacrev(some, argnums=argnums, chunk_size=chunk_size)(*tensors)
    leaves = [x.clone().requires_grad_() for x in tensors]
    rows = [torch.autograd.grad(y, leaves, retain_graph=True, materialize_grads=True) for y in some(*leaves)]
    for index, jacobian in enumerate(got):
        assert_same(jacobian, torch.stack([row[index] for row in rows]))


@OPERATIONS
def test_gradient_of_a_map(operation):
    """By functions and by autograd; of an argument that is mapped, and of those that all share."""
    dims = {"image_rgb": 1, "quantization_table_y": -1, "y": 1, "steps_y": -1}
    case = make_case(operation, {"ste": True}, (2,), {"jpeg_quality": (2,)}, [(3, dims)])
    tensors = tuple(case.tensors.values())
    argnums = tuple(range(len(tensors)))

    def total(evaluate, *tensors):
        results = evaluate(
            functools.partial(call, case), case._replace(tensors=dict(zip(case.tensors, tensors, strict=True)))
        )
        return sum((x * weights(x)).sum() for x in results)

    loop = lambda function, case: looped(function, case.levels, tuple(case.tensors.values()))
    got = grad(functools.partial(total, mapped), argnums=argnums)(*tensors)
    leaves = [x.clone().requires_grad_() for x in tensors]
    assert_same(list(torch.autograd.grad(total(mapped, *leaves), leaves)), list(got))
    expected = torch.autograd.grad(total(loop, *leaves), leaves)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * max(1.0, float(b.abs().max())))


def test_steps_have_the_batch_axes_of_quality_and_table_alone():
    images, qualities = random_image(2, 2, 3, 8, 8), torch.tensor([30.0, 70.0], dtype=torch.float64)
    shared = vmap(lambda image: arrays(jpeg_encode(image, 50)))(images)
    assert [tuple(x.shape) for x in shared] == [
        (2, 2, 1, 1, 8, 8), (2, 2, 1, 1, 8, 8), (2, 2, 1, 1, 8, 8), (2, 8, 8), (2, 8, 8)
    ]  # fmt: skip
    each = vmap(lambda image, quality: jpeg_encode(image, quality).steps_y)(images, qualities)
    assert each.shape == (2, 8, 8)
    assert_same(each, torch.stack([jpeg_encode(images[0], quality).steps_y for quality in qualities]))
