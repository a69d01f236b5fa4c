"""torch.func, batched gradients, tracing: what of it is right, and what raises instead of being wrong."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.autograd import forward_ad  # noqa: E402
from torch.autograd.functional import jacobian  # noqa: E402

from pyjpegdiff.adapters.torch import (  # noqa: E402
    DiffJPEGCoding,
    diff_jpeg_coding,
    diff_jpeg_coding_vjp,
    jpeg_decode,
    jpeg_decode_vjp,
    jpeg_encode,
    jpeg_encode_vjp,
)
from pyjpegdiff.backends import use_backend  # noqa: E402
from tests.adapters.tensors import compiled, parameters  # noqa: E402
from tests.samples import HOST_BACKENDS  # noqa: E402


def func_loss(image, quality):
    return diff_jpeg_coding(image, quality, ste=True).square().sum()


@pytest.mark.parametrize("backend", HOST_BACKENDS)
def test_func_grad_and_vmap_of_it(image, backend):
    quality = torch.tensor([30.0, 70.0], dtype=torch.float64)
    with use_backend(backend):
        by_sample = torch.func.vmap(torch.func.grad(func_loss, argnums=(0, 1)))(image, quality)
    for index in range(2):
        one = torch.func.grad(func_loss, argnums=(0, 1))(image[index], quality[index])
        for batch, single in zip(by_sample, one, strict=True):
            torch.testing.assert_close(batch[index], single, rtol=1e-10, atol=1e-8)
    leaf = image[0].clone().requires_grad_()
    (g,) = torch.autograd.grad(func_loss(leaf, quality[0]), leaf)
    torch.testing.assert_close(by_sample[0][0], g, rtol=1e-10, atol=1e-8)


def test_vmap_over_each_argument_alone(image):
    given = parameters()
    rng = np.random.default_rng(5)
    for name, value in {"image_rgb": image[0], **given}.items():
        value = value[:1] if name in ("jpeg_quality", "quantization_table_c") else value
        stack = torch.stack([value * (1 + 0.1 * rng.uniform()) for _ in range(3)], -1)
        fixed = {
            "image_rgb": image,
            **given,
            "jpeg_quality": given["jpeg_quality"][:1],
            "quantization_table_c": given["quantization_table_c"][:1],
        }
        if name == "image_rgb":
            fixed["image_rgb"], fixed["jpeg_quality"], fixed["quantization_table_c"] = (
                image[0],
                torch.tensor(50.0),
                given["quantization_table_y"],
            )

        def loss(value, name=name, fixed=fixed):
            return diff_jpeg_coding(**{**fixed, name: value}).square().mean()

        got = torch.func.vmap(torch.func.grad(loss), in_dims=-1)(stack)
        for index in range(3):
            want = torch.func.grad(loss)(stack[..., index].contiguous())
            torch.testing.assert_close(got[index], want, rtol=1e-8, atol=1e-10, msg=name)


def test_vmap_of_encode_and_decode(image):
    quality = torch.tensor([30.0, 70.0], dtype=torch.float64)

    def rate(image, quality):
        coefficients = jpeg_encode(image, quality)
        return coefficients.y.square().sum() + coefficients.steps_c.sum() + jpeg_decode(coefficients).mean()

    batch = torch.func.vmap(torch.func.grad(rate, argnums=1))(image, quality)
    steps = torch.func.vmap(lambda x, q: jpeg_encode(x, q).steps_y)(image, quality)
    assert steps.shape == (2, 8, 8)
    lead = torch.func.vmap(lambda x: jpeg_encode(x[None], 50).steps_y)(image)
    assert lead.shape == (2, 8, 8)
    for index in range(2):
        torch.testing.assert_close(batch[index], torch.func.grad(rate, argnums=1)(image[index], quality[index]))


def test_jacrev(image):
    quality = torch.tensor(40.0, dtype=torch.float64)

    def corner(quality):
        return diff_jpeg_coding(image[0], quality, ste=True)[:, :2, :2]

    jacobian = torch.func.jacrev(corner)(quality)
    leaf = quality.clone().requires_grad_()
    rows = [torch.autograd.grad(y, leaf, retain_graph=True)[0] for y in corner(leaf).flatten()]
    torch.testing.assert_close(jacobian.flatten(), torch.stack(rows))


@pytest.mark.parametrize("loss", [torch.sum, lambda y: y.square().sum()])
def test_second_derivatives_raise(image, loss):
    leaf = image[0].requires_grad_()
    (g,) = torch.autograd.grad(loss(diff_jpeg_coding(leaf, 50)), leaf, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        torch.autograd.grad(g.sum(), leaf)
    function = lambda x: loss(diff_jpeg_coding(x, 50))
    with pytest.raises(NotImplementedError, match="second derivatives"):
        torch.func.grad(lambda x: torch.func.grad(function)(x).sum())(image[0].detach())


def operations(samples=2):
    """Each operation as a function of one tensor to one, its VJP, and such a tensor."""
    rng = np.random.default_rng(6)
    pixels = torch.from_numpy(rng.uniform(0, 255, (samples, 3, 8, 8)))
    coefficients = jpeg_encode(pixels, 50.0)

    def decode(y):
        return jpeg_decode(coefficients._replace(y=y))

    def pull_decode(y, g):
        return jpeg_decode_vjp(coefficients._replace(y=y))[1](g).coefficients.y

    def pull_encode(x, g):
        encoded, vjp = jpeg_encode_vjp(x, 50.0)
        zeros = encoded._replace(cb=None, cr=None, steps_y=None, steps_c=None)
        return vjp(zeros._replace(y=g)).image_rgb

    return {
        "code": (
            lambda x: diff_jpeg_coding(x, 50.0),
            lambda x, g: diff_jpeg_coding_vjp(x, 50.0)[1](g).image_rgb,
            pixels,
        ),
        "encode": (lambda x: jpeg_encode(x, 50.0).y, pull_encode, pixels),
        "decode": (decode, pull_decode, coefficients.y),
    }


OPERATIONS = pytest.mark.parametrize("operation", ["code", "encode", "decode"])


@OPERATIONS
def test_gradients_of_a_batch_of_cotangents(operation):
    function, pull, x = operations()[operation]
    leaf = x.clone().requires_grad_()
    result = function(leaf)
    cotangents = torch.randn(5, *result.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (got,) = torch.autograd.grad(result, leaf, cotangents, is_grads_batched=True)
    torch.testing.assert_close(got, torch.stack([pull(x, g) for g in cotangents]), rtol=1e-10, atol=1e-10)


@OPERATIONS
def test_gradients_of_one_and_of_expanded_cotangents(operation):
    """A batch of length 1, and a batch whose entries are the same memory."""
    function, pull, x = operations()[operation]
    leaf = x.clone().requires_grad_()
    result = function(leaf)
    for cotangents in (torch.ones(1, *result.shape), torch.ones(()).expand(3, *result.shape)):
        (got,) = torch.autograd.grad(result, leaf, cotangents.double(), is_grads_batched=True, retain_graph=True)
        torch.testing.assert_close(got, pull(x, cotangents[0].double()).expand(got.shape), rtol=1e-10, atol=1e-10)


@OPERATIONS
def test_vectorized_jacobian(operation):
    function, _, x = operations()[operation]
    some = lambda x: function(x)[..., :2, :1]
    got = jacobian(some, x, vectorize=True)
    torch.testing.assert_close(got, jacobian(some, x), rtol=1e-10, atol=1e-10)
    assert got.abs().sum() > 0


def test_vectorized_jacobian_of_every_parameter():
    given = parameters()
    pixels = operations()["code"][2]
    some = lambda *values: diff_jpeg_coding(pixels, **dict(zip(given, values, strict=True)))[:, :, ::4, ::4]
    got = jacobian(some, tuple(given.values()), vectorize=True)
    for a, b in zip(got, jacobian(some, tuple(given.values())), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * float(b.abs().max()))


@OPERATIONS
def test_gradcheck_of_batched_gradients(operation):
    function, _, x = operations(1)[operation]
    assert torch.autograd.gradcheck(
        function, x.clone().requires_grad_(), eps=1e-7, atol=1e-4, rtol=1e-4, check_batched_grad=True
    )  # fmt: skip


# --- what raises ------------------------------------------------------------------------------------------------------


@OPERATIONS
def test_second_derivatives_of_every_operation_raise(operation):
    function, pull, x = operations()[operation]
    leaf = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(function(leaf).square().sum(), leaf, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        torch.autograd.grad(g.sum(), leaf)
    pulled = pull(x, function(leaf))
    with pytest.raises(NotImplementedError, match="second derivatives"):
        torch.autograd.grad(pulled.sum(), leaf)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        torch.func.jacrev(torch.func.grad(lambda x: function(x).square().sum()))(x)


@OPERATIONS
def test_forward_mode_raises(operation):
    function, pull, x = operations()[operation]
    with pytest.raises(NotImplementedError, match="forward mode"):
        torch.func.jvp(function, (x,), (x,))
    with pytest.raises(NotImplementedError, match="forward mode"):
        torch.func.jacfwd(function)(x)
    with forward_ad.dual_level(), pytest.raises(NotImplementedError, match="forward mode"):
        function(forward_ad.make_dual(x, x))
    g = function(x)
    with pytest.raises(NotImplementedError, match="forward mode"):
        torch.func.jvp(lambda g: pull(x, g), (g,), (g,))


@OPERATIONS
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_forward_mode_raises(operation, backend):
    """Compiled code would have tangents of zero."""
    function, _, x = operations()[operation]
    torch._dynamo.reset()
    with pytest.raises(Exception, match="forward mode"):
        torch.compile(lambda x: torch.func.jvp(function, (x,), (x,)), backend=backend)(x)
    fast = torch.compile(function, backend=backend)
    assert torch.equal(fast(x), function(x))
    with pytest.raises(Exception, match="forward mode"):
        torch.func.jvp(fast, (x,), (x,))
    with forward_ad.dual_level(), pytest.raises(Exception, match="forward mode"):
        fast(forward_ad.make_dual(x, x))
    assert torch.equal(fast(x), function(x))


@OPERATIONS
def test_tracing_raises_before_anything_else(operation):
    """Without the tracer's warnings, and whatever the arguments."""
    function, _, x = operations()[operation]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.trace` is deprecated", DeprecationWarning)
        with pytest.raises(NotImplementedError, match=r"use torch\.compile or torch\.export"):
            torch.jit.trace(function, x)


def test_export_by_tracing_raises(image, tmp_path):
    export = lambda: torch.onnx.export(DiffJPEGCoding(), (image, 50.0), tmp_path / "model.onnx", dynamo=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch has deprecated it
        with pytest.raises(NotImplementedError, match=r"onnx\.export\(dynamo=False\)"):
            export()


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_second_derivatives_raise(image, backend):
    fast = compiled(lambda x: diff_jpeg_coding(x, 50).square().sum(), backend=backend)
    leaf = image.clone().requires_grad_()
    (g,) = torch.autograd.grad(fast(leaf), leaf, create_graph=True)
    with pytest.raises((NotImplementedError, RuntimeError)):
        torch.autograd.grad(g.sum(), leaf)


def test_compile_of_functional_transforms(image):
    """Right, or an error; never a zero."""
    x, quality = image.float(), torch.tensor([30.0, 70.0])
    gradient = torch.func.grad(func_loss, argnums=(0, 1))
    for got, expected in zip(compiled(gradient)(x[0], quality[0]), gradient(x[0], quality[0]), strict=True):
        torch.testing.assert_close(got, expected)
    mapped = torch.func.vmap(diff_jpeg_coding)
    torch.testing.assert_close(compiled(mapped)(x, quality), mapped(x, quality))
    with pytest.raises(Exception, match="does not have vmap support"):
        compiled(torch.func.vmap(gradient))(x, quality)
