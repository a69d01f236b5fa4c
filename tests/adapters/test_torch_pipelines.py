"""`RandomJPEG` as a step of the pipelines of torchvision and of kornia."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pyjpegdiff.adapters.torch import RandomJPEG, diff_jpeg_coding  # noqa: E402
from tests.adapters.tensors import compiled  # noqa: E402
from tests.photos import pillow  # noqa: E402
from tests.samples import noisy_ramp  # noqa: E402


def codec(image, **options):
    return diff_jpeg_coding(image, 40, ste=True, **options)


# --- torchvision ------------------------------------------------------------------------------------------------------


@pytest.fixture
def v2(torchvision):
    return torchvision.transforms.v2


@pytest.fixture
def sample(torchvision):
    """As data sets give it: a picture with boxes, a mask and a label."""
    kinds = torchvision.tv_tensors
    image = kinds.Image(torch.from_numpy(noisy_ramp(0, 21, 35)).movedim(-1, 0))
    boxes = kinds.BoundingBoxes([[1, 2, 30, 20]], format="XYXY", canvas_size=(21, 35))
    return {"label": 3, "mask": kinds.Mask(torch.ones(21, 35, dtype=torch.uint8)), "boxes": boxes, "image": image}


def test_compose_a_sample_with_masks_and_boxes(v2, torchvision, sample):
    jpeg = RandomJPEG(40, p=1, data_range=1)
    result = v2.Compose([v2.RandomHorizontalFlip(p=1), v2.ToDtype(torch.float32, scale=True), jpeg])(sample)
    expected = codec(sample["image"].as_subclass(torch.Tensor).flip(-1) / 255, data_range=1)
    assert type(result["image"]) is torchvision.tv_tensors.Image
    assert torch.equal(result["image"].as_subclass(torch.Tensor), expected)
    assert type(result["boxes"]) is torchvision.tv_tensors.BoundingBoxes
    assert result["boxes"].tolist() == [[5, 2, 34, 20]]
    assert type(result["mask"]) is torchvision.tv_tensors.Mask
    assert result["label"] == 3


def test_compose_several_inputs(v2, sample):
    """A picture and its target, as two arguments."""
    image, target = v2.Compose([RandomJPEG(40, p=1), v2.Identity()])(sample.pop("image"), sample)
    assert image.dtype == torch.uint8
    assert target["mask"] is sample["mask"]
    assert target["boxes"] is sample["boxes"]


def test_uint8_pictures_are_those_of_pillow(v2, sample):
    """As of ``v2.JPEG``, which takes no others."""
    result = v2.Compose([RandomJPEG(40, p=1, arithmetic="libjpeg")])(sample)["image"]
    np.testing.assert_array_equal(result.movedim(0, -1).numpy(), pillow(noisy_ramp(0, 21, 35), 40))


def test_two_pictures_of_a_sample_get_the_same(v2, torchvision):
    image = torchvision.tv_tensors.Image(torch.from_numpy(noisy_ramp(0, 21, 35)).movedim(-1, 0))
    jpeg = RandomJPEG((1, 100), p=0.5, generator=torch.Generator().manual_seed(0))
    results = [v2.Compose([jpeg])((image, {"other": image})) for _ in range(10)]
    assert all(torch.equal(first, rest["other"]) for first, rest in results)
    assert len({int(first.sum()) for first, _ in results}) > 3


def test_videos(v2, torchvision):
    """Each frame gets a quality of its own, or all the same."""
    frames = torch.from_numpy(noisy_ramp(0, 21, 35)).movedim(-1, 0).repeat(6, 1, 1, 1)
    video = torchvision.tv_tensors.Video(frames)
    for same, kinds in ((True, {1}), (False, {4, 5, 6})):
        jpeg = RandomJPEG((1, 100), p=1, same_on_batch=same, generator=torch.Generator().manual_seed(0))
        result = v2.Compose([jpeg])(video)
        assert type(result) is torchvision.tv_tensors.Video
        assert len({int(frame.sum()) for frame in result}) in kinds


def test_plain_tensors_and_gradients_through_compose(v2):
    images = torch.rand(2, 3, 24, 24, dtype=torch.float64, requires_grad=True)
    steps = v2.Compose([v2.Normalize([0.5] * 3, [0.5] * 3), RandomJPEG(40, p=1, mean=0.5, std=0.5)])
    (got,) = torch.autograd.grad(steps(images).square().sum(), images)
    (want,) = torch.autograd.grad((2 * codec(images, data_range=1) - 1).square().sum(), images)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


def test_random_apply_and_pictures_of_pil(v2):
    steps = [v2.ToImage(), v2.RandomApply([RandomJPEG(40, p=1)], p=1)]
    result = v2.Compose(steps)(v2.ToPILImage()(torch.zeros(3, 8, 8, dtype=torch.uint8)))
    assert result.dtype == torch.uint8
    with pytest.raises(TypeError, match=r"got PIL.Image.Image; torchvision's v2.ToImage"):
        RandomJPEG(40)(v2.ToPILImage()(torch.zeros(3, 8, 8, dtype=torch.uint8)))


def test_compose_compiles_without_graph_breaks(v2):
    steps = v2.Compose([v2.Normalize([0.5] * 3, [0.5] * 3), RandomJPEG(40, p=1, mean=0.5, std=0.5)])
    images = torch.rand(2, 3, 24, 24)
    torch.testing.assert_close(compiled(steps, backend="aot_eager")(images), steps(images), rtol=1e-5, atol=1e-5)


# --- kornia -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def augmentation():
    pytest.importorskip("kornia", exc_type=ImportError)
    import kornia.augmentation

    return kornia.augmentation


def test_augmentation_sequential_with_masks_and_boxes(augmentation):
    images = torch.rand(2, 3, 24, 40, requires_grad=True)
    masks, boxes = torch.rand(2, 1, 24, 40), torch.tensor([[[2.0, 3, 20, 19]]] * 2)
    steps = augmentation.AugmentationSequential(
        augmentation.RandomHorizontalFlip(p=1),
        RandomJPEG(40, p=1, data_range=1),
        data_keys=["input", "mask", "bbox_xyxy", "class"],
    )
    coded, of_masks, of_boxes, labels = steps(images, masks, boxes, torch.tensor([3, 4]))
    assert torch.equal(coded, codec(images.flip(-1), data_range=1))
    assert torch.equal(of_masks, masks.flip(-1))
    assert of_boxes[0, 0, 1::2].tolist() == [3, 19]
    assert labels.tolist() == [3, 4]
    (got,) = torch.autograd.grad(coded.square().sum(), images)
    (want,) = torch.autograd.grad(codec(images.flip(-1), data_range=1).square().sum(), images)
    assert torch.equal(got, want)


def test_augmentation_sequential_draws_for_each_image(augmentation):
    torch.manual_seed(0)
    images = torch.rand(1, 3, 24, 40).repeat(8, 1, 1, 1)
    steps = augmentation.AugmentationSequential(
        RandomJPEG((5, 95), p=1, data_range=1), augmentation.RandomVerticalFlip(p=0)
    )
    assert len({round(float(x.square().sum()), 3) for x in steps(images)}) > 5
    one_of = augmentation.AugmentationSequential(torch.nn.Identity(), RandomJPEG(40, p=1, data_range=1), random_apply=1)
    coded = codec(images, data_range=1)
    results = [one_of(images) for _ in range(20)]
    assert all(torch.equal(x, coded) or torch.equal(x, images) for x in results)
    assert {torch.equal(x, coded) for x in results} == {True, False}
