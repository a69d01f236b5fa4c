"""Bits of tensors, with NumPy's as the reference."""

import numpy as np
import pytest

import pyjpegdiff
from pyjpegdiff.rate import HUFFMAN
from tests.samples import SAMPLINGS, noisy_ramp

torch = pytest.importorskip("torch")
adapter = pytest.importorskip("pyjpegdiff.adapters.torch")
jpeg_encode, jpeg_rate, jpeg_rate_vjp = adapter.jpeg_encode, adapter.jpeg_rate, adapter.jpeg_rate_vjp

BLOCKS = ("y", "cb", "cr")


def coefficients_of(count=3, subsampling="4:2:0", dtype=np.float64):
    """Unrounded coefficients, as NumPy's arrays and as tensors that need a gradient."""
    images = np.stack([noisy_ramp(seed, 19, 27) for seed in range(count)]).astype(dtype)
    arrays = pyjpegdiff.jpeg_encode(images, 80, rounding="identity", subsampling=subsampling, channel_axis=-1)
    tensors = {name: torch.tensor(getattr(arrays, name), requires_grad=True) for name in BLOCKS}
    steps = {name: torch.tensor(getattr(arrays, name)) for name in ("steps_y", "steps_c")}
    return arrays, arrays._replace(**tensors, **steps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("huffman", HUFFMAN)
@pytest.mark.parametrize("subsampling", SAMPLINGS)
def test_bits_and_gradients_are_numpys(subsampling, huffman, dtype):
    arrays, tensors = coefficients_of(subsampling=subsampling, dtype=dtype)
    want, want_vjp = pyjpegdiff.jpeg_rate_vjp(arrays, huffman=huffman)
    weights = np.array([1.0, -2.0, 0.5])
    bits = pyjpegdiff.jpeg_rate(tensors, huffman=huffman)
    assert bits.dtype == torch.float64
    np.testing.assert_array_equal(bits.detach(), want)
    (bits * torch.tensor(weights)).sum().backward()
    again, vjp = jpeg_rate_vjp(tensors, huffman=huffman)
    np.testing.assert_array_equal(again.detach(), want)
    explicit = vjp(torch.tensor(weights))
    for name in BLOCKS:
        expected = getattr(want_vjp(weights), name)
        assert np.any(expected)
        np.testing.assert_array_equal(getattr(tensors, name).grad, expected)
        np.testing.assert_array_equal(getattr(explicit, name).detach(), expected)


def test_gradients_go_on_to_the_image():
    image = torch.tensor(noisy_ramp(0, 32, 32).astype(np.float32), requires_grad=True)
    jpeg_rate(jpeg_encode(image, 60, rounding="identity", channel_axis=-1)).backward()
    arrays, encode_vjp = pyjpegdiff.jpeg_encode_vjp(image.detach().numpy(), 60, rounding="identity", channel_axis=-1)
    _, vjp = pyjpegdiff.jpeg_rate_vjp(arrays)
    want = encode_vjp(vjp(np.asarray(1.0))).image_rgb
    np.testing.assert_allclose(image.grad, want, rtol=1e-5, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize("huffman", HUFFMAN)
def test_vmap_is_a_batch(huffman):
    arrays, tensors = coefficients_of()
    blocks = [getattr(tensors, name).detach() for name in BLOCKS]

    def rate(y, cb, cr):
        return jpeg_rate(tensors._replace(y=y, cb=cb, cr=cr), huffman=huffman)

    mapped = [blocks[0].movedim(0, 2), blocks[1], blocks[2][0]]
    bits = torch.func.vmap(rate, in_dims=(2, 0, None))(*mapped)
    same_cr = arrays._replace(cr=np.broadcast_to(arrays.cr[:1], arrays.cr.shape))
    np.testing.assert_array_equal(bits, pyjpegdiff.jpeg_rate(same_cr, huffman=huffman))
    gradients = torch.func.vmap(torch.func.grad(rate, argnums=(0, 1, 2)))(*blocks)
    _, vjp = pyjpegdiff.jpeg_rate_vjp(arrays, huffman=huffman)
    for name, gradient in zip(BLOCKS, gradients, strict=True):
        np.testing.assert_array_equal(gradient, getattr(vjp(np.ones(3)), name))


# Between two graphs, torch's compiler looks whether what came out of the first has a gradient.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("huffman", HUFFMAN)
def test_compiled_code_breaks_its_graph(huffman):
    arrays, tensors = coefficients_of(1)

    def double(coefficients):
        return 2 * jpeg_rate(coefficients, huffman=huffman).sum()

    bits = torch.compile(double, backend="aot_eager")(tensors)
    bits.backward()
    want, vjp = pyjpegdiff.jpeg_rate_vjp(arrays, huffman=huffman)
    assert float(bits.detach()) == 2 * float(want.sum())
    for name in BLOCKS:
        np.testing.assert_array_equal(getattr(tensors, name).grad, 2 * getattr(vjp(np.ones(1)), name))
    with pytest.raises(Exception, match="pyjpegdiff: jpeg_rate is not compiled"):
        torch.compile(lambda x: jpeg_rate(x, huffman=huffman), backend="aot_eager", fullgraph=True)(tensors)


def test_second_derivatives_and_forward_mode_raise():
    _, tensors = coefficients_of(1)
    (g,) = torch.autograd.grad(jpeg_rate(tensors).sum(), tensors.y, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives are not supported"):
        g.sum().backward()
    y = tensors.y.detach()
    with pytest.raises(NotImplementedError, match="forward mode"):
        torch.func.jvp(lambda y: jpeg_rate(tensors._replace(y=y)), (y,), (y,))
