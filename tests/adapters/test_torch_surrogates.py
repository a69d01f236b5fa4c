"""Custom surrogates under torch: a graph keeps the functions that it was made with, and nothing else does."""

import functools
import gc
import warnings
import weakref

import pytest

torch = pytest.importorskip("torch")

import torch.utils.checkpoint  # noqa: E402

from pyjpegdiff.adapters.torch import (  # noqa: E402
    DiffJPEGCoding,
    diff_jpeg_coding,
    diff_jpeg_coding_vjp,
    jpeg_encode,
    jpeg_encode_vjp,
)
from tests.adapters.tensors import compiled  # noqa: E402


def scaled(factor):
    """A pair of functions that nobody else has: the identity, with a derivative by which they are told apart."""
    return (lambda x: x * 1.0), (lambda x: 0 * x + factor)


def expected_gradient(image, factor):
    """Through coefficients whose derivative is ``factor``: in luma and chroma alike."""
    return factor * diff_jpeg_coding_vjp(image, 50, ste=True, rounding="identity")[1](torch.ones_like(image)).image_rgb


def code(image, rounding):
    return diff_jpeg_coding(image, 50, ste=True, rounding=rounding)


def assert_same(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)


def gone(*references):
    gc.collect()
    return [reference() is None for reference in references]


@pytest.fixture
def unclipped(image):
    """An image that no clip meets, so that gradients are multiples of each other."""
    return 100 + image / 8


def test_a_pair_of_functions_is_as_good_as_a_name(image):
    pair = (torch.clone, torch.ones_like)
    image.requires_grad_()
    ours = diff_jpeg_coding(image, 50, rounding=pair)
    theirs = diff_jpeg_coding(image, 50, rounding="identity")
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)
    gradients = [torch.autograd.grad(result.sum(), image)[0] for result in (ours, theirs)]
    assert_same(*gradients)


def test_each_graph_has_its_own_functions(unclipped):
    """Where the functions of a pair are gone, those of the next are often at the same address."""
    image = unclipped.requires_grad_()
    unit = expected_gradient(image.detach(), 1.0)
    for attempt in range(20):
        first = code(image, scaled(2.0 + attempt))
        second = code(image, scaled(-3.0))
        (g,) = torch.autograd.grad(first.sum(), image)
        assert_same(g, (2.0 + attempt) * unit)
        (g,) = torch.autograd.grad(second.sum(), image)
        assert_same(g, -3.0 * unit)


class Model:
    """Has its surrogate as methods."""

    def __init__(self, factor):
        self.factor = factor

    def value(self, x):
        return x * 1.0

    def derivative(self, x):
        return 0 * x + self.factor


def derivative_of(factor, x):
    return 0 * x + factor


class Callable:
    """Cannot be referred to weakly."""

    __slots__ = ("factor",)

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return 0 * x + self.factor


KINDS = pytest.mark.parametrize(
    "make",
    [
        scaled,
        lambda factor: (Model(factor).value, Model(factor).derivative),
        lambda factor: (functools.partial(lambda one, x: x * one, 1.0), functools.partial(derivative_of, factor)),
        lambda factor: (torch.clone, Callable(factor)),
    ],
)


@KINDS
def test_functions_that_nobody_else_holds(unclipped, make):
    image = unclipped.requires_grad_()
    coded = code(image, make(2.5))
    coefficients = jpeg_encode(image, 50, ste=True, rounding=make(2.5))
    _, vjp = diff_jpeg_coding_vjp(image, 50, ste=True, rounding=make(2.5))
    _, encode_vjp = jpeg_encode_vjp(image, 50, ste=True, rounding=make(2.5))
    gc.collect()
    expected = expected_gradient(image.detach(), 2.5)
    assert_same(torch.autograd.grad(coded.sum(), image)[0], expected)
    assert_same(vjp(torch.ones_like(image)).image_rgb.detach(), expected)
    (by_encode,) = torch.autograd.grad(coefficients.y.sum(), image)
    (identity,) = torch.autograd.grad(jpeg_encode(image, 50, ste=True, rounding="identity").y.sum(), image)
    assert_same(by_encode, 2.5 * identity)
    cotangents = coefficients._replace(y=torch.ones_like(coefficients.y), cb=None, cr=None, steps_y=None, steps_c=None)
    assert_same(encode_vjp(cotangents).image_rgb.detach(), 2.5 * identity)


def test_functions_are_freed_with_the_graph(unclipped):
    image = unclipped.requires_grad_()
    pair = scaled(2.0)
    references = [weakref.ref(function) for function in pair]
    coded = code(image, pair)
    vjp = diff_jpeg_coding_vjp(image, 50, rounding=pair)[1]
    del pair
    assert gone(*references) == [False, False]
    del vjp
    assert gone(*references) == [False, False]
    coded.sum().backward()
    del coded
    assert gone(*references) == [True, True]


def test_functions_are_freed_at_once_where_there_is_no_graph(unclipped):
    pair = scaled(2.0)
    references = [weakref.ref(function) for function in pair]
    code(unclipped, pair)
    with torch.no_grad():
        code(unclipped.requires_grad_(), pair)
    del pair
    assert gone(*references) == [True, True]


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing(unclipped, reentrant):
    """The functions are made anew when the graph is."""
    image = unclipped.requires_grad_()
    checkpoint = functools.partial(torch.utils.checkpoint.checkpoint, use_reentrant=reentrant)
    first = checkpoint(lambda x: code(x, scaled(2.0)), image)
    second = checkpoint(lambda x: code(x, scaled(-3.0)), image)
    (first.sum() + 10 * second.sum()).backward()
    assert_same(image.grad, expected_gradient(image.detach(), -28.0))


def test_vmap(unclipped):
    def gradient(image, factor):
        return torch.func.grad(lambda x: code(x, scaled(factor)).sum())(image)

    first = torch.func.vmap(functools.partial(gradient, factor=2.0))(unclipped)
    second = torch.func.vmap(functools.partial(gradient, factor=-3.0))(unclipped)
    pull = lambda x: diff_jpeg_coding_vjp(x, 50, ste=True, rounding=scaled(5.0))[1](torch.ones_like(x)).image_rgb
    third = torch.func.vmap(pull)(unclipped)
    for got, factor in ((first, 2.0), (second, -3.0), (third, 5.0)):
        assert_same(got, expected_gradient(unclipped, factor))


def test_map_of_a_graph_made_outside(unclipped):
    """And freed with it."""
    pair = scaled(2.0)
    references = [weakref.ref(function) for function in pair]
    coded, vjp = torch.func.vjp(functools.partial(code, rounding=pair), unclipped)
    del pair
    gc.collect()
    cotangents = torch.stack([torch.ones_like(coded), -torch.ones_like(coded)])
    (got,) = torch.func.vmap(vjp)(cotangents)
    assert_same(got[0], expected_gradient(unclipped, 2.0))
    assert_same(got[1], expected_gradient(unclipped, -2.0))
    del vjp, coded
    assert gone(*references) == [True, True]


@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor"])
def test_compiled(unclipped, backend):
    """Each compiled function has the pair that it was traced with."""
    image = unclipped.requires_grad_()
    fast = [compiled(functools.partial(code, rounding=scaled(factor)), backend=backend) for factor in (2.0, -3.0)]
    results = [function(image) for function in fast]
    gc.collect()
    for coded, factor in zip(results, (2.0, -3.0), strict=True):
        (g,) = torch.autograd.grad(coded.sum(), image)
        assert_same(g, expected_gradient(image.detach(), factor))
    again = [function(image) for function in fast]
    for coded, factor in zip(again, (2.0, -3.0), strict=True):
        assert_same(torch.autograd.grad(coded.sum(), image)[0], expected_gradient(image.detach(), factor))


@KINDS
def test_compiled_code_that_is_given_pairs(unclipped, make):
    """Of the same code, but of other values."""
    image = unclipped.requires_grad_()
    torch._dynamo.reset()
    fast = torch.compile(code, backend="eager")
    for factor in (2.0, -3.0, 4.0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler's own, about its own parts
            coded = fast(image, make(factor))
        assert_same(torch.autograd.grad(coded.sum(), image)[0], expected_gradient(image.detach(), factor))


def test_compiled_pair_of_torchs_functions(image):
    fast = compiled(lambda x: diff_jpeg_coding(x, 50, rounding=(torch.abs, torch.sign)))
    torch.testing.assert_close(
        fast(image.float()), diff_jpeg_coding(image.float(), 50, rounding=(torch.abs, torch.sign))
    )


def test_compiled_explicit_vjp(unclipped):
    pull = lambda x: diff_jpeg_coding_vjp(x, 50, ste=True, rounding=scaled(5.0))[1](torch.ones_like(x)).image_rgb
    assert_same(compiled(pull, backend="aot_eager")(unclipped), expected_gradient(unclipped, 5.0))


def test_module(unclipped):
    image = unclipped.requires_grad_()
    modules = [DiffJPEGCoding(ste=True, rounding=scaled(factor)) for factor in (2.0, -3.0)]
    results = [module(image, 50) for module in modules]
    del modules
    gc.collect()
    for coded, factor in zip(results, (2.0, -3.0), strict=True):
        (g,) = torch.autograd.grad(coded.sum(), image)
        assert_same(g, expected_gradient(image.detach(), factor))


def test_an_exported_program_of_another_process_says_what_it_lacks(image):
    """The functions are no part of it."""
    program = torch.export.export(DiffJPEGCoding(rounding=scaled(2.0)), (image, torch.tensor(50.0)))
    text = next(node.args[1] for node in program.graph.nodes if "pyjpegdiff.forward" in str(node.target))
    number = text.split()[1]
    call = [text.replace(number, "custom:-1") if argument == text else argument for argument in ("code", text)]
    with pytest.raises(RuntimeError, match="cannot be exported"):
        torch.ops.pyjpegdiff.forward(*call, [24, 40], False, [image])
