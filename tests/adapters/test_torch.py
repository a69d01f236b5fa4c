"""The torch adapter as torch users meet it: values, gradients, arguments, the module."""

import copy
import inspect
import io
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.utils.checkpoint  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

import pyjpegdiff  # noqa: E402
from pyjpegdiff import backends  # noqa: E402
from pyjpegdiff.adapters import torch as adapter  # noqa: E402
from pyjpegdiff.adapters.torch import (  # noqa: E402
    DiffJPEGCoding,
    diff_jpeg_coding,
    diff_jpeg_coding_vjp,
    jpeg_decode,
    jpeg_encode,
)
from pyjpegdiff.backends import use_backend  # noqa: E402
from pyjpegdiff.backends.array_api import ArrayAPI  # noqa: E402
from tests.adapters.tensors import parameters  # noqa: E402
from tests.samples import HOST_BACKENDS, MODES  # noqa: E402

# --- values and gradients are the core's ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("backend", HOST_BACKENDS)
def test_value_and_gradients_are_the_cores(image, mode, backend):
    given = parameters()
    if "arithmetic" in mode:
        del given["color_matrix"], given["color_offset"]
    tensors = {"image_rgb": image, **given}
    for tensor in tensors.values():
        tensor.requires_grad_()
    with use_backend(backend):
        coded = diff_jpeg_coding(**tensors, **mode)
    g = torch.randn(coded.shape, dtype=coded.dtype, generator=torch.Generator().manual_seed(0))
    pulled = torch.autograd.grad(coded, list(tensors.values()), g)
    arrays = {name: tensor.detach().numpy() for name, tensor in tensors.items()}
    expected, vjp = pyjpegdiff.diff_jpeg_coding_vjp(**arrays, wrt=tuple(arrays), **mode)
    np.testing.assert_allclose(coded.detach(), expected, rtol=0, atol=1e-10)
    for name, got in zip(tensors, pulled, strict=True):
        want = getattr(vjp(g.numpy()), name)
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-10 * np.abs(want).max(), err_msg=name)


def test_plain_functions_hand_tensors_to_the_adapter(image):
    image.requires_grad_()
    coded = pyjpegdiff.diff_jpeg_coding(image, 50)
    (direct,) = torch.autograd.grad(diff_jpeg_coding(image, 50).sum(), image)
    (g,) = torch.autograd.grad(coded.sum(), image)
    assert torch.equal(g, direct)
    decoded = pyjpegdiff.jpeg_decode(pyjpegdiff.jpeg_encode(image, 50))
    (g,) = torch.autograd.grad(decoded.sum(), image)
    torch.testing.assert_close(g, direct)


def test_explicit_vjp_of_tensors(image):
    coded, vjp = pyjpegdiff.diff_jpeg_coding_vjp(image, 50, wrt=("image_rgb", "jpeg_quality"))
    want, want_vjp = pyjpegdiff.diff_jpeg_coding_vjp(image.numpy(), 50, wrt=("image_rgb", "jpeg_quality"))
    np.testing.assert_allclose(coded, want, atol=1e-10)
    pulled, expected = vjp(coded), want_vjp(want)
    np.testing.assert_allclose(pulled.image_rgb, expected.image_rgb, atol=1e-8)
    assert pulled.jpeg_quality.shape == ()


def test_autograd_meets_an_explicit_vjp(image):
    """Right, or an error; never a zero."""
    image.requires_grad_()
    coded, vjp = diff_jpeg_coding_vjp(image, 50)
    (g,) = torch.autograd.grad(coded.sum(), image)
    pulled = vjp(torch.ones_like(coded)).image_rgb
    assert torch.equal(g, pulled.detach())
    with pytest.raises(NotImplementedError, match="second derivatives"):
        pulled.sum().backward()
    explicit = torch.func.grad(lambda x: diff_jpeg_coding_vjp(x, 50)[0].sum())(image.detach())
    assert torch.equal(explicit, g)


@pytest.mark.parametrize("sides", [(8, 8), (9, 5)])
def test_gradcheck(sides):
    rng = np.random.default_rng(3)
    given = parameters()
    image = torch.from_numpy(rng.uniform(30, 220, (2, 3, *sides)))
    inputs = [tensor.requires_grad_() for tensor in (image, *given.values())]

    def code(image, quality, table_y, table_c, matrix, offset):
        return diff_jpeg_coding(image, quality, table_y, table_c, color_matrix=matrix, color_offset=offset)

    # Away from kinks for this seed: a step this small crosses none.
    assert torch.autograd.gradcheck(code, inputs, eps=1e-7, atol=1e-4, rtol=1e-4)


def test_encode_and_decode_are_differentiable(image):
    quality = torch.tensor([30.0, 70.0], dtype=torch.float64, requires_grad=True)
    image.requires_grad_()
    coefficients = jpeg_encode(image, quality, ste=True)
    halves = torch.autograd.grad(jpeg_decode(coefficients, ste=True).square().sum(), (image, quality))
    whole = torch.autograd.grad(diff_jpeg_coding(image, quality, ste=True).square().sum(), (image, quality))
    for a, b in zip(halves, whole, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    (rate,) = torch.autograd.grad(jpeg_encode(image, quality).y.abs().sum(), quality)
    assert (rate != 0).all()


def test_gray(image):
    gray = image[:, :1].clone().requires_grad_()
    diff_jpeg_coding(gray, 50, ste=True).sum().backward()
    _, vjp = pyjpegdiff.diff_jpeg_coding_vjp(gray.detach().numpy(), 50, ste=True)
    np.testing.assert_allclose(gray.grad, vjp(np.ones(gray.shape)).image_rgb, rtol=0, atol=1e-10)
    coefficients = jpeg_encode(gray, 50)
    assert coefficients.cb is None
    assert jpeg_decode(coefficients).shape == gray.shape


# --- shapes, strides, arguments ---------------------------------------------------------------------------------------


def test_integer_tables_and_quality_a_sample(image):
    table = torch.randint(1, 256, (8, 8), generator=torch.Generator().manual_seed(0))
    quality = torch.tensor([20, 80])
    batch = diff_jpeg_coding(image, quality, table, table)
    for index in range(2):
        one = diff_jpeg_coding(image[index], int(quality[index]), table, table.double())
        torch.testing.assert_close(batch[index], one, rtol=0, atol=1e-10)


def test_strides_do_not_matter(image):
    image = image.float()
    want = diff_jpeg_coding(image, 50)
    (want_g,) = torch.autograd.grad(diff_jpeg_coding(image.requires_grad_(), 50).sum(), image)
    for other in (
        image.detach().to(memory_format=torch.channels_last),
        image.detach().repeat_interleave(2, -1)[..., ::2],
        image.detach().transpose(-1, -2).contiguous().transpose(-1, -2),
    ):
        other.requires_grad_()
        coded = diff_jpeg_coding(other, 50)
        assert torch.equal(coded, want)
        (g,) = torch.autograd.grad(coded.sum(), other)  # an expanded cotangent
        torch.testing.assert_close(g, want_g)
    weights = torch.linspace(0, 1, image.shape[-2]).expand(2, 3, image.shape[-1], -1).transpose(-1, -2)
    (g,) = torch.autograd.grad(diff_jpeg_coding(image, 50), image, weights)
    (same,) = torch.autograd.grad(diff_jpeg_coding(image, 50), image, weights.contiguous())
    assert torch.equal(g, same)


def test_expanded_image_and_empty_batch(image):
    one = image[:1].expand(4, -1, -1, -1).requires_grad_()
    (g,) = torch.autograd.grad(diff_jpeg_coding(one, torch.full((4,), 50.0)).sum(), one)
    (of_one,) = torch.autograd.grad(diff_jpeg_coding(one[:1], 50).sum(), one)
    torch.testing.assert_close(g, of_one[:1].expand(4, -1, -1, -1), rtol=0, atol=1e-10)
    empty = torch.zeros(0, 3, 8, 8, requires_grad=True)
    quality = torch.zeros(0, requires_grad=True)
    coded = diff_jpeg_coding(empty, quality)
    coded.sum().backward()
    assert coded.shape == empty.shape == empty.grad.shape
    assert quality.grad.shape == (0,)


def test_retain_graph_and_writing_to_the_output(image):
    image.requires_grad_()
    coded = diff_jpeg_coding(image, 50)
    (first,) = torch.autograd.grad(coded.sum(), image, retain_graph=True)
    with torch.no_grad():
        coded.zero_()
    (second,) = torch.autograd.grad(coded.sum(), image)
    assert torch.equal(first, second)


def test_an_input_written_to_before_backward_raises(image):
    table = torch.full((8, 8), 20.0, dtype=torch.float64)
    image.requires_grad_()
    coded = diff_jpeg_coding(image, 50, table)
    table.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        coded.sum().backward()


class Witness(ArrayAPI):
    """A backend that notes which gradients are needed."""

    name = "witness"
    automatic = False

    def __init__(self):
        self.seen = []

    def vjp(self, operation, plan, size, xp, inputs, residuals, cotangents, needs):
        self.seen.append(needs)
        return super().vjp(operation, plan, size, xp, inputs, residuals, cotangents, needs)


def test_no_gradient_that_nobody_needs(image):
    witness = Witness()
    backends.register(witness)
    quality = torch.tensor([30.0, 70.0], requires_grad=True)
    with use_backend("witness"):
        diff_jpeg_coding(image, quality).sum().backward()
        assert witness.seen == [(False, True, False, False, False, False)]
        assert quality.grad is not None
        witness.seen.clear()
        with torch.no_grad():
            assert not diff_jpeg_coding(image, quality).requires_grad
        assert not diff_jpeg_coding(image, 50).requires_grad
    assert witness.seen == []


def test_unused_outputs_get_no_cotangent(image):
    image.requires_grad_()
    (from_y,) = torch.autograd.grad(jpeg_encode(image, 50).cb.sum(), image)
    assert torch.isfinite(from_y).all()
    assert jpeg_encode(image, 50).steps_y.shape == (8, 8)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing(image, mode, reentrant):
    image = image.requires_grad_()

    def loss(image):
        return diff_jpeg_coding(image, 60, **mode).square().sum()

    torch.utils.checkpoint.checkpoint(loss, image, use_reentrant=reentrant).backward()
    assert torch.equal(image.grad, torch.autograd.grad(loss(image), image)[0])


def test_whoever_watches_operators_sees_ours(image):
    """A dispatch mode sees both, and the results are those without it, where no operator is called."""
    seen = []

    class Watching(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(str(func))
            return func(*args, **(kwargs or {}))

    def gradient():
        x = image.clone().requires_grad_()
        coded = diff_jpeg_coding(x, 50)
        return coded, *torch.autograd.grad(coded.square().sum(), x)

    plain = gradient()
    with Watching():
        watched = gradient()
    assert {"pyjpegdiff.forward.default", "pyjpegdiff.vjp.default"} <= set(seen)
    for a, b in zip(plain, watched, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("batch_shape", [(), (2,)])
def test_extra_batch_axes_of_length_one(image, batch_shape):
    """What kornia takes beside (3, H, W); the gradient has the shape of what was given."""
    pixels = (image if batch_shape else image[0]).clone().requires_grad_()
    quality = torch.full((1, 1), 60.0, dtype=torch.float64, requires_grad=True)
    table = torch.full((1, 1, 1, 8, 8), 20.0, requires_grad=True)
    coded = diff_jpeg_coding(pixels, quality, table)
    assert torch.equal(coded, diff_jpeg_coding(pixels, 60, table[0, 0, 0]))
    leaves = (pixels, quality, table)
    found = torch.autograd.grad(coded.square().sum(), leaves)
    plain = [pixels.detach().clone(), torch.tensor(60.0, dtype=torch.float64), torch.full((8, 8), 20.0)]
    plain = [x.requires_grad_() for x in plain]
    expected = torch.autograd.grad(diff_jpeg_coding(*plain).square().sum(), plain)
    for g, leaf, h in zip(found, leaves, expected, strict=True):
        assert g.shape == leaf.shape
        torch.testing.assert_close(g.reshape(h.shape), h, rtol=1e-9, atol=1e-9)


def test_quality_of_one_entry_beside_one_image(image):
    quality = torch.tensor([60.0], requires_grad=True)
    coded, vjp = diff_jpeg_coding_vjp(image[0], quality, wrt="jpeg_quality")
    (g,) = torch.autograd.grad(coded.sum(), quality)
    assert g.shape == (1,)
    assert torch.equal(vjp(torch.ones_like(coded)).jpeg_quality.detach(), g)


NAMES = ["diff_jpeg_coding", "jpeg_encode", "jpeg_decode"]


def test_signatures_are_those_of_the_public_functions():
    """Names, order, kinds and defaults; the types are tensors here."""
    for name in [*NAMES, *[f"{name}_vjp" for name in NAMES]]:
        ours, public = (
            [(p.name, p.kind, p.default) for p in inspect.signature(getattr(module, name)).parameters.values()]
            for module in (adapter, pyjpegdiff)
        )
        assert ours == public, name
        assert not [p for p in ours if p[1] in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)]


# --- the module -------------------------------------------------------------------------------------------------------


def test_module(image):
    module = DiffJPEGCoding(ste=True)
    quality = torch.tensor([30.0, 70.0])
    assert torch.equal(module(image_rgb=image, jpeg_quality=quality), diff_jpeg_coding(image, quality, ste=True))
    assert "ste=True" in repr(module)
    assert list(module.parameters()) == []


def test_module_tables_train_save_copy_and_move(image):
    table = nn.Parameter(torch.full((8, 8), 20.0))
    module = DiffJPEGCoding(ste=True, quantization_table_y=table, quantization_table_c=torch.full((8, 8), 30.0))
    module(image.float(), 50).square().mean().backward()
    assert table.grad.abs().sum() > 0
    assert set(module.state_dict()) == {"quantization_table_y", "quantization_table_c"}
    assert [name for name, _ in module.named_parameters()] == ["quantization_table_y"]
    want = module(image, 50)
    saved = io.BytesIO()
    torch.save(module.state_dict(), saved)
    saved.seek(0)
    other = DiffJPEGCoding(
        ste=True, quantization_table_y=nn.Parameter(torch.ones(8, 8)), quantization_table_c=torch.ones(8, 8)
    )
    other.load_state_dict(torch.load(saved))
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), other):
        assert torch.equal(twin(image, 50), want)
    assert copy.deepcopy(module).double().quantization_table_y.dtype == torch.float64
    own = torch.full((8, 8), 5.0)
    assert torch.equal(module(image, 50, own, own), diff_jpeg_coding(image, 50, own, own, True))


def test_module_checks_its_choices():
    with pytest.raises(ValueError, match="subsampling"):
        DiffJPEGCoding(subsampling="4:3:2")
    with pytest.raises(TypeError, match="quantization_table_y"):
        DiffJPEGCoding(quantization_table_y=[[1.0] * 8] * 8)
    with pytest.raises(ValueError, match="color_matrix"):
        DiffJPEGCoding(arithmetic="libjpeg", color_matrix=torch.eye(3))
