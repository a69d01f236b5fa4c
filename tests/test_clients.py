"""The layers of the page on other projects' code, called as those projects call theirs."""

import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pyjpegdiff.adapters.torch import RandomJPEG, diff_jpeg_coding  # noqa: E402
from tests.photos import pillow  # noqa: E402
from tests.samples import noisy_ramp  # noqa: E402

PAGE = Path(__file__).parents[1] / "docs" / "clients.md"
SECTIONS = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)


def cells(section):
    return re.findall(r"^```{code-cell} python\n(.*?)^```", section, re.DOTALL | re.MULTILINE)


def layers(title):
    """The names that a section of the page defines."""
    (section,) = [text for text in SECTIONS if text.startswith(title)]
    names = {}
    for cell in cells(SECTIONS[0]) + cells(section):
        exec(compile(cell, PAGE.name, "exec"), names)
    return names


@pytest.fixture
def pixels():
    """Three pictures, uint8 (N, H, W, 3); height and width are multiples of nothing."""
    return np.stack([noisy_ramp(seed, 45, 37) for seed in range(3)])


@pytest.fixture
def unit(pixels):
    """(N, 3, H, W) of 0..1."""
    return (torch.from_numpy(pixels).movedim(-1, 1) / 255).requires_grad_()


def to_pixels(unit):
    """What one would save."""
    return (255 * unit.detach()).round().to(torch.uint8).movedim(1, -1).numpy()


def by_pillow(pixels, quality, subsampling="4:2:0"):
    return np.stack([pillow(picture, quality, subsampling) for picture in pixels])


def assert_gradient(result, images):
    """It is there, for each image, and not that of a layer that does nothing."""
    (gradient,) = torch.autograd.grad(result.square().sum(), images)
    assert bool(torch.isfinite(gradient).all())
    assert bool((gradient.flatten(1).abs().amax(1) > 0).all())
    assert not torch.allclose(gradient, 2 * images)


# --- watermarks -------------------------------------------------------------------------------------------------------


def test_videoseal(unit, pixels):
    """An augmenter that draws one of several layers, each with a mask and a strength."""
    JPEG = layers("VideoSeal")["JPEG"]
    before, mask = unit.detach().clone(), torch.ones(3, 1, 45, 37)
    image, same = JPEG(min_quality=40, max_quality=80)(unit, mask)
    assert same is mask
    assert_gradient(image, unit)
    for quality in (40, 60, 80):  # of an evaluation, where no range was given
        image, none = JPEG()(unit, None, quality)
        assert none is None
        np.testing.assert_array_equal(to_pixels(image), by_pillow(pixels, quality))
    single, _ = JPEG()(unit[0], mask[0], 40)
    np.testing.assert_array_equal(to_pixels(single[None]), by_pillow(pixels[:1], 40))
    assert torch.equal(unit, before)  # theirs writes to the caller's images


def test_watermark_anything(unit, pixels):
    """The same with images that were normalized."""
    names = layers("VideoSeal")
    mean, std = [torch.tensor(names["IMAGENET"][name]).reshape(3, 1, 1) for name in ("mean", "std")]
    jpeg = names["JPEG"](40, 80, **names["IMAGENET"])
    image, _ = jpeg((unit - mean) / std, None, 50)
    np.testing.assert_array_equal(to_pixels(image * std + mean), by_pillow(pixels, 50))
    assert_gradient(image, unit)


def test_stable_signature(unit):
    """A pipeline that calls one layer after another, and one that draws among them."""
    names = layers("Stable Signature")
    mean, std = names["mean"], names["std"]
    attack = names["RandomDiffJPEG"](p=1.0, low=10).to("cpu")
    normalized = (unit - mean) / std
    torch.manual_seed(0)
    result = attack(normalized)
    torch.manual_seed(0)
    qualities = attack.draw((3,)).quality
    assert len(qualities.unique()) > 1
    expected = diff_jpeg_coding(unit, qualities, arithmetic="libjpeg", data_range=1)
    np.testing.assert_array_equal(to_pixels(result * std + mean), to_pixels(expected))
    assert_gradient(result, unit)
    assert torch.equal(names["RandomDiffJPEG"](0.0, 10, 100)(normalized), normalized)


def test_invismark(pixels):
    """-1..1 in and out."""
    jpeg = layers("InvisMark")["jpeg"]
    signed = (torch.from_numpy(pixels).movedim(-1, 1) / 127.5 - 1).requires_grad_()
    result = jpeg(signed, drawn=jpeg.draw((3,))._replace(quality=torch.tensor([50.0, 70, 95])))
    for index, quality in enumerate((50, 70, 95)):
        want = by_pillow(pixels[index : index + 1], quality)
        np.testing.assert_array_equal(to_pixels((result[index : index + 1] + 1) / 2), want)
    assert_gradient(result, signed)


@pytest.mark.parametrize(("subsample", "subsampling"), [(0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0")])
def test_mbrs_and_cin(pixels, subsample, subsampling):
    """A layer that is given the image and its cover, as one argument."""
    Jpeg = layers("MBRS")["Jpeg"]
    signed = (torch.from_numpy(pixels).movedim(-1, 1) / 127.5 - 1).requires_grad_()
    noise = torch.nn.Sequential(Jpeg(50, subsample), torch.nn.Identity())
    noised = noise([signed, signed.detach()])
    np.testing.assert_array_equal(to_pixels((noised + 1) / 2), by_pillow(pixels, 50, subsampling))
    assert_gradient(noised, signed)


def test_stegastamp(pixels):
    """A ramp from quality 100 down to the lowest, on images with the channels last."""
    names = layers("StegaStamp")
    jpeg, ramp, lowest = names["jpeg"], names["ramp"], names["lowest"]
    images = (torch.from_numpy(pixels) / 255).requires_grad_()
    for step in (0, ramp // 3, ramp, 3 * ramp):
        jpeg.step.fill_(step)
        jpeg.eval()
        drawn = torch.stack([jpeg.draw((3,)).quality for _ in range(1000)])
        assert bool((drawn == drawn[:, :1]).all())
        least = 100 - min(step / ramp, 1) * (100 - lowest)
        # That the lowest is not among 1000 draws of at most 76 kinds has a probability of 2e-6.
        assert drawn.min() == round(least)
        assert drawn.max() == 100
    jpeg.train()
    result = jpeg(images)
    assert result.shape == images.shape
    assert jpeg.step == 3 * ramp + 1
    assert_gradient(result, images)


# --- restoration ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("differentiable", [False, True])
def test_basicsr_and_real_esrgan(unit, pixels, differentiable):
    """Degradations: a quality per image, drawn in 30..95, on clamped images."""
    jpeger = layers("BasicSR")["DiffJPEG"](differentiable=differentiable)
    assert not list(jpeger.parameters())
    out = torch.clamp(unit, 0, 1)
    jpeg_p = out.new_zeros(out.size(0)).uniform_(30, 95, generator=torch.Generator().manual_seed(0))
    given = jpeg_p.clone()
    result = jpeger(out, quality=jpeg_p)
    assert torch.equal(jpeg_p, given)  # theirs overwrites it
    for one, x, quality in zip(result, out, given, strict=True):
        # Several thousands of samples, of which the compiler of a batch may treat a tie otherwise.
        torch.testing.assert_close(one, jpeger(x, quality=float(quality)), rtol=0, atol=1e-5)
    assert_gradient(result, unit)
    with torch.no_grad():
        whole = jpeger(unit, quality=75)
    if not differentiable:
        np.testing.assert_array_equal(to_pixels(whole), by_pillow(pixels, 75))


# --- augmentation -----------------------------------------------------------------------------------------------------


def test_kornia(unit, pixels):
    """Its functions and those here, by the table of the page: both near to real files, those here nearer."""
    kornia = pytest.importorskip("kornia")
    layers("kornia")
    qualities = (30, 60, 90)
    theirs = kornia.enhance.jpeg_codec_differentiable(unit, torch.tensor(qualities, dtype=torch.float32))
    ours = diff_jpeg_coding(unit, torch.tensor(qualities, dtype=torch.float32), data_range=1)
    for index, quality in enumerate(qualities):
        file = pillow(pixels[index], quality).astype(float)
        there, here, untouched = [
            np.abs(255 * x[index].detach().movedim(0, -1).double().numpy() - file).mean() for x in (theirs, ours, unit)
        ]
        assert here < there < untouched
    torch.manual_seed(0)
    there = kornia.augmentation.RandomJPEG(jpeg_quality=(50.0, 95.0), p=0.5, same_on_batch=True)
    here = RandomJPEG((50.0, 95.0), p=0.5, same_on_batch=True, data_range=1)
    for augment in (there, here):
        changed = [bool((augment(unit) != unit).any()) for _ in range(20)]
        assert set(changed) == {False, True}


def test_torchvision(pixels):
    jpeg = layers("torchvision")["jpeg"]
    given = torch.from_numpy(pixels).movedim(-1, 1)
    drawn = jpeg.draw((3,))
    result = jpeg(given, drawn=drawn)
    for picture, quality, got in zip(pixels, drawn.quality, result, strict=True):
        np.testing.assert_array_equal(got.movedim(0, -1).numpy(), pillow(picture, int(quality)))


def test_albumentations(pixels):
    """Called by keywords; gives a dict of all that it was given."""
    ImageCompression = layers("albumentations")["ImageCompression"]
    mask = np.ones((45, 37), np.uint8)
    transform = ImageCompression(quality_range=(50, 50), p=1.0)
    result = transform(image=pixels[0], mask=mask)
    np.testing.assert_array_equal(result["image"], pillow(pixels[0], 50))
    assert result["mask"] is mask
    assert ImageCompression(p=0.0)(image=mask)["image"] is mask


def test_every_section_is_tried():
    """By a test of this file, or, as of the compiler, by its own cell."""
    titles = [section.partition("\n")[0] for section in SECTIONS[1:]]
    tried = set(re.findall(r'layers\("([^"]+)"\)', Path(__file__).read_text()))
    assert [title for title in titles if not any(title.startswith(name) for name in tried)] == ["Under a compiler"]
