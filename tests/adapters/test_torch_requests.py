"""What users of other differentiable codecs have asked for, or run into: each stays as it is here."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch._subclasses import FakeTensorMode  # noqa: E402

from pyjpegdiff.adapters.torch import DiffJPEGCoding, RandomJPEG, diff_jpeg_coding  # noqa: E402
from tests.photos import pillow  # noqa: E402
from tests.samples import MODES, noisy_ramp  # noqa: E402

SIZES = [(1, 1), (1, 40), (7, 3), (8, 16), (15, 17), (33, 37), (90, 135)]
DEVICES = ["cpu", "meta", *(["cuda"] if torch.cuda.is_available() else [])]


def unit_images(*shape, seed=0, dtype=torch.float32):
    """Of 0..1."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, dtype=dtype, generator=generator)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", SIZES)
def test_any_size(size, mode):
    """Diff-JPEG 4, kornia 2845: sides that 16 does not divide."""
    pixels = noisy_ramp(0, *size)
    image = torch.from_numpy(pixels).movedim(-1, 0).float()[None].requires_grad_()
    for jpeg in (DiffJPEGCoding(**mode), RandomJPEG(75, p=1, **mode)):
        result = jpeg(image, 75) if isinstance(jpeg, DiffJPEGCoding) else jpeg(image)
        assert result.shape == image.shape
        (gradient,) = torch.autograd.grad(result.square().sum(), image)
        assert bool(torch.isfinite(gradient).all())
        assert bool((gradient != 0).any())
        if "arithmetic" in mode:
            np.testing.assert_array_equal(result[0].detach().movedim(0, -1).numpy(), pillow(pixels, 75))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("mode", MODES)
def test_any_device(device, mode):
    """Kornia 2867, 2837, 3104: images on a device, numbers of the host beside them, a module that was moved or not."""
    image = unit_images(2, 3, 17, 9).to(device)
    table = torch.full((8, 8), 20.0)
    for jpeg in (
        RandomJPEG((30, 95), p=1, data_range=1, **mode),
        RandomJPEG((30, 95), p=1, data_range=1, **mode).to(device),
        RandomJPEG(torch.tensor([[30.0, 95.0]]), p=1, mean=0.5, std=0.5, **mode).to(device),
    ):
        result = jpeg(image)
        assert (result.device.type, result.shape) == (device, image.shape)
    codec = DiffJPEGCoding(quantization_table_y=table, data_range=1, **mode)
    for quality in (50, torch.tensor([30.0, 60.0]), torch.tensor([30.0, 60.0], device=device)):
        for each in (codec, codec.to(device)):
            assert each(image, quality).device.type == device


@pytest.mark.parametrize("device", DEVICES)
def test_fake_tensors(device):
    with FakeTensorMode(allow_non_fake_inputs=True):
        image = torch.empty(2, 3, 17, 9, device=device)
        for result in (diff_jpeg_coding(image, torch.empty(2)), RandomJPEG(p=0.5)(image)):
            assert (result.device.type, result.shape) == (image.device.type, image.shape)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("mode", [*MODES, {"flooring": "identity"}, {"ste": True, "flooring": "cubic"}])
@pytest.mark.parametrize("quality", [0.0, 1.0, 100.0])
def test_lowest_and_highest_quality_are_finite(quality, mode, dtype):
    """Kornia 4205 and DiffJPEG 7: NaN at 0, in an array, and at 100. Only the images of that quality were hit."""
    image = unit_images(2, 3, 33, 37, dtype=torch.float64).to(dtype).requires_grad_()
    qualities = torch.tensor([quality, 50.0], dtype=dtype, requires_grad=True)
    result = diff_jpeg_coding(image, qualities, data_range=1, **mode)
    gradients = torch.autograd.grad(result.float().square().mean(), (image, qualities))
    assert all(bool(torch.isfinite(x).all()) for x in (result, *gradients))
    as_one = diff_jpeg_coding(image, torch.tensor([max(quality, 1.0), 50.0]), data_range=1, **mode)
    assert torch.equal(result, as_one)  # an entry of an array is clipped, as libjpeg clips it


@pytest.mark.parametrize("quality", [0, 101, -1])
def test_a_number_out_of_range_is_refused(quality):
    with pytest.raises(ValueError, match=f"quality must be in 1..100, got {quality}"):
        diff_jpeg_coding(unit_images(3, 8, 8), quality, data_range=1)
    with pytest.raises(ValueError, match=f"quality must be in 1..100, got {quality}"):
        RandomJPEG(quality)


def test_a_range_that_was_confused_is_told_where_it_can_be():
    """By what is known without looking at a tensor: a dtype, or two arguments that contradict each other."""
    pixels = torch.from_numpy(noisy_ramp(0, 16, 16)).movedim(-1, 0)
    with pytest.raises(ValueError, match=r"a uint8 image has values 0\.\.255"):
        RandomJPEG(data_range=1)(pixels)
    with pytest.raises(ValueError, match=r"a uint8 image has values 0\.\.255"):
        RandomJPEG(mean=0.5, std=0.5)(pixels)
    with pytest.raises(ValueError, match=r"mean must be in 0\.\.data_range, which is 0\.\.1 here"):
        RandomJPEG(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))


def test_the_picture_is_the_same_in_every_range():
    """And the confusion of 0..1 with 0..255 cannot be overlooked: a flat gray comes back."""
    unit = unit_images(3, 40, 40, dtype=torch.float64)
    whole = diff_jpeg_coding(255 * unit, 50, ste=True)
    for jpeg, to, back in (
        (RandomJPEG(50, p=1, data_range=1), lambda x: x, lambda x: x),
        (RandomJPEG(50, p=1, mean=0.5, std=0.5), lambda x: 2 * x - 1, lambda x: (x + 1) / 2),
        (RandomJPEG(50, p=1), lambda x: 255 * x, lambda x: x / 255),
    ):
        torch.testing.assert_close(255 * back(jpeg(to(unit))), whole, rtol=0, atol=1e-9)
    assert float(RandomJPEG(50, p=1)(unit).std()) == 0 < float(whole.std())


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_of_different_qualities_is_that_of_each_image(mode):
    image = unit_images(5, 3, 33, 37, dtype=torch.float64).requires_grad_()
    qualities = torch.tensor([5.0, 30, 55.5, 80, 100], dtype=torch.float64, requires_grad=True)
    together = diff_jpeg_coding(image, qualities, data_range=1, **mode)
    alone = torch.stack([diff_jpeg_coding(x, q, data_range=1, **mode) for x, q in zip(image, qualities, strict=True)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)
    got, want = [torch.autograd.grad(x.square().mean(), (image, qualities)) for x in (together, alone)]
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("mode", MODES)
def test_no_graph_breaks(mode):
    """Kornia 3796: none, forward and backward, for the codec and for augmentation."""
    image, quality = unit_images(2, 3, 17, 19), torch.tensor([30.0, 60.0])
    steps = torch.nn.Sequential(RandomJPEG((30, 95), data_range=1, **mode), RandomJPEG(60, mean=0.5, std=0.5, **mode))
    codec = DiffJPEGCoding(data_range=1, **mode)
    for function, inputs in ((codec, (image, quality)), (steps, (image,))):
        torch._dynamo.reset()
        explained = torch._dynamo.explain(function)(*inputs)
        assert (explained.graph_count, explained.graph_break_count) == (1, 0)
