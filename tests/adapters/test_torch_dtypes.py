"""Dtypes, memory layouts, devices and precision under the torch adapter."""

import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import pyjpegdiff  # noqa: E402
from pyjpegdiff.adapters.torch import diff_jpeg_coding, jpeg_decode, jpeg_encode  # noqa: E402
from pyjpegdiff.backends import use_backend  # noqa: E402
from tests.adapters.tensors import DEVICES  # noqa: E402
from tests.samples import HOST_BACKENDS, MODES  # noqa: E402


@pytest.fixture
def on_torch():
    """Have torch itself compute, as it does on devices other than the host."""
    with use_backend("array_api"):
        yield


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mode", MODES)
def test_dtype_and_device(image, dtype, device, mode):
    image = image.to(device, dtype).requires_grad_()
    quality = torch.tensor([40.0, 60.0], device=device, dtype=dtype, requires_grad=True)
    coded = diff_jpeg_coding(image, quality, **mode)
    coded.float().square().mean().backward()
    for result in (coded, image.grad, quality.grad):
        assert result.dtype == dtype
        assert result.device.type == device
        assert torch.isfinite(result).all()
    if dtype != torch.float64:
        wide = diff_jpeg_coding(image.detach().float(), quality.detach().float(), **mode)
        assert torch.equal(coded, wide.to(dtype))


@pytest.mark.parametrize("device", DEVICES)
def test_uint8_and_float_are_bit_identical_to_the_core_in_libjpeg_arithmetic(image, device):
    pixels = image.round().to(torch.uint8)
    want = pyjpegdiff.diff_jpeg_coding(pixels.numpy(), 60, arithmetic="libjpeg")
    for dtype in (torch.uint8, torch.float32, torch.float64):
        got = diff_jpeg_coding(pixels.to(device, dtype), 60, arithmetic="libjpeg")
        assert np.count_nonzero(got.cpu().numpy() != want) == 0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.usefixtures("on_torch")
def test_autocast_and_reduced_precision_change_nothing(image, mode, device):
    image = image.float().to(device).requires_grad_()

    def run():
        coded = diff_jpeg_coding(image, 50, **mode)
        (g,) = torch.autograd.grad(coded.square().sum(), image)
        return coded.detach(), g

    expected = run()
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast(device, dtype=torch.bfloat16):
            got = run()
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == torch.float32
        assert torch.equal(a, b)


@pytest.mark.parametrize("mode", MODES)
def test_meta_tensors_have_shapes(image, mode):
    """Nor does anything look at a value: there is none."""
    image = image.to("meta").requires_grad_()
    coded = diff_jpeg_coding(image, 50, **mode)
    (g,) = torch.autograd.grad(coded.sum(), image)
    assert (coded.shape, g.shape, g.device.type) == (image.shape, image.shape, "meta")


@pytest.mark.skipif(not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="torch has one interface yet")
@pytest.mark.usefixtures("on_torch")
def test_precision_that_was_set_for_a_backend_alone(image):
    """By the interface that refuses to be mixed with the other."""
    want = diff_jpeg_coding(image.float(), 50)
    backends = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "tf32"
        assert torch.equal(diff_jpeg_coding(image.float(), 50), want)
        assert [backend.fp32_precision for backend in backends] == ["tf32", "tf32"]
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision


@pytest.mark.skipif(not hasattr(torch.backends, "fp32_precision"), reason="torch has one interface yet")
@pytest.mark.usefixtures("on_torch")
def test_precision_that_was_set_for_all_backends_is_still_that_of_all(image):
    backends = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
    before = torch.backends.fp32_precision
    try:
        for backend in backends:
            backend.fp32_precision = "none"
        torch.backends.fp32_precision = "tf32"
        diff_jpeg_coding(image.float(), 50)
        assert [backend.fp32_precision for backend in backends] == ["tf32", "tf32"]
        torch.backends.fp32_precision = "ieee"
        assert [backend.fp32_precision for backend in backends] == ["ieee", "ieee"]
    finally:
        torch.backends.fp32_precision = before


@pytest.mark.usefixtures("on_torch")
def test_precision_is_restored_after_calls_from_many_threads(image):
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        threads = [threading.Thread(target=diff_jpeg_coding, args=(image.float(), 50)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


# --- every dtype in every layout --------------------------------------------------------------------------------------

DTYPES = [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64]
LAYOUTS = {"CHW": -3, "HWC": -1, "HW": None}


def arranged(image, layout, dtype):
    """Whole pixel values, so that every dtype has them."""
    image = image.round()
    image = {"CHW": image, "HWC": image.movedim(-3, -1), "HW": image[:, 0]}[layout]
    return image.contiguous().to(dtype)


def to_numpy(x):
    return (x.float() if x.dtype == torch.bfloat16 else x).detach().numpy()


def assert_near(got, expected, dtype, compute):
    """In shape, order of memory and dtype, and as near as that and the compute dtype can tell."""
    assert (got.shape, got.dtype, got.is_contiguous()) == (expected.shape, dtype, True)
    eps = max(torch.finfo(dtype).eps, 1e-12 if compute == torch.float64 else 1e-4)
    size = float(np.abs(expected).max())
    np.testing.assert_allclose(got.detach().double(), expected, rtol=2 * eps, atol=2 * eps * size)


@pytest.mark.parametrize("backend", HOST_BACKENDS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_and_gradients_in_every_dtype_and_layout(image, dtype, layout, backend):
    """Beside parameters of other dtypes than the image's."""
    given = {
        "image_rgb": arranged(image, layout, dtype),
        "jpeg_quality": torch.tensor([33.3, 76.7], dtype=torch.float64),
        "quantization_table_y": torch.linspace(9, 40, 64).reshape(8, 8).bfloat16(),
    }
    leaves = [x.requires_grad_() for x in given.values() if x.is_floating_point()]
    options = {"channel_axis": LAYOUTS[layout], "flooring": "identity"}
    with use_backend(backend):
        coded = diff_jpeg_coding(**given, **options)
    g = torch.linspace(-1, 1, coded.numel()).reshape(coded.shape).to(coded.dtype)
    gradients = torch.autograd.grad(coded, leaves, g)
    arrays = {name: to_numpy(x) for name, x in given.items()}
    expected, vjp = pyjpegdiff.diff_jpeg_coding_vjp(**arrays, wrt=tuple(given), **options)
    compute = torch.float64 if dtype == torch.float64 else torch.float32
    assert_near(coded, expected, dtype if dtype.is_floating_point else torch.float32, compute)
    pulled = vjp(to_numpy(g).astype(expected.dtype))[: len(given)]
    for got, leaf, h in zip(gradients, leaves, pulled[-len(leaves) :], strict=True):
        assert_near(got, h, leaf.dtype, compute)


@pytest.mark.parametrize("backend", HOST_BACKENDS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_encode_and_decode_in_every_dtype_and_layout(image, dtype, layout, backend):
    pixels = arranged(image, layout, dtype)
    options = {"channel_axis": LAYOUTS[layout]}
    compute = torch.float64 if dtype == torch.float64 else torch.float32
    with use_backend(backend):
        coefficients = jpeg_encode(pixels, 61.3, flooring="identity", **options)
    expected = pyjpegdiff.jpeg_encode(to_numpy(pixels), 61.3, flooring="identity", **options)
    blocks_dtype = dtype if dtype.is_floating_point else torch.int16
    blocks = {}
    for name in ("y", "cb", "cr", "steps_y", "steps_c"):
        x, y = getattr(coefficients, name), getattr(expected, name)
        assert (x is None) == (y is None)
        if x is not None:
            assert_near(x, y, compute, compute)
            blocks[name] = x.round().to(blocks_dtype) if name in ("y", "cb", "cr") else x.bfloat16()
    leaves = [x.requires_grad_() for x in blocks.values() if x.is_floating_point()]
    with use_backend(backend):
        decoded = jpeg_decode(coefficients._replace(**blocks), **options)
    arrays = coefficients._replace(**{name: to_numpy(x) for name, x in blocks.items()})
    whole, vjp = pyjpegdiff.jpeg_decode_vjp(arrays, **options)
    assert_near(decoded, whole, blocks_dtype if blocks_dtype.is_floating_point else torch.float32, compute)
    g = torch.linspace(-1, 1, decoded.numel()).reshape(decoded.shape).to(decoded.dtype)
    pulled = vjp(to_numpy(g).astype(whole.dtype)).coefficients
    gradients = torch.autograd.grad(decoded, leaves, g)
    names = [name for name, x in blocks.items() if x.is_floating_point()]
    for got, name, leaf in zip(gradients, names, leaves, strict=True):
        assert_near(got, getattr(pulled, name), leaf.dtype, compute)


def test_bfloat16_is_the_rounded_result_of_float32(image):
    pixels = image.round().bfloat16()
    got, vjp = pyjpegdiff.diff_jpeg_coding_vjp(pixels, 50)
    expected, expected_vjp = pyjpegdiff.diff_jpeg_coding_vjp(pixels.float(), 50)
    assert torch.equal(got, expected.bfloat16())
    assert torch.equal(vjp(got).image_rgb, expected_vjp(got.float()).image_rgb.bfloat16())
