"""`RandomJPEG`: what it draws, what becomes of images and gradients, and how it compiles."""

import copy
import io

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch._dynamo.testing import CompileCounterWithBackend  # noqa: E402
from torch._subclasses import FakeTensorMode  # noqa: E402

from pyjpegdiff.adapters.torch import Drawn, RandomJPEG, diff_jpeg_coding  # noqa: E402
from tests.adapters.tensors import DEVICES, compiled  # noqa: E402
from tests.samples import MODES, SAMPLINGS  # noqa: E402

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn_of(quality, applied, subsampling="4:2:0"):
    return Drawn(torch.as_tensor(quality, dtype=torch.float32), torch.as_tensor(applied), subsampling)


# --- what is drawn ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lowest", "highest"), [(1, 3), (30, 95), (1, 100), (100, 100)])
def test_qualities_are_whole_ends_included_and_equally_likely(lowest, highest):
    count, kinds = 100_000, highest - lowest + 1
    quality = RandomJPEG((lowest, highest), generator=seeded()).draw((count,)).quality
    values, counts = np.unique(quality.numpy(), return_counts=True)
    np.testing.assert_array_equal(values, np.arange(lowest, highest + 1))
    # Binomial; that one of 100 kinds is 5 standard deviations off has a probability below 1e-4.
    deviation = np.sqrt(count / kinds * (1 - 1 / kinds))
    assert np.abs(counts - count / kinds).max() <= 5 * deviation


def test_the_largest_random_number_draws_the_highest_quality(monkeypatch):
    """For every length of a range, in float32."""
    largest = 1 - 2.0**-24
    monkeypatch.setattr(torch, "rand", lambda *shape, **options: torch.full(shape, largest))
    for highest in range(1, 101):
        assert RandomJPEG((1, highest)).draw().quality == highest


@pytest.mark.parametrize("p", [0, 0.3, 1])
def test_probability(p):
    count = 100_000
    drawn = RandomJPEG((30, 32), p=p, generator=seeded()).draw((count,))
    assert abs(int(drawn.applied.sum()) - p * count) <= 5 * np.sqrt(count * p * (1 - p))
    if p == 0.3:  # and independent of the quality
        of_applied = drawn.quality[drawn.applied]
        assert abs(float(of_applied.mean()) - 31) <= 5 * np.sqrt(2 / 3 / len(of_applied))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_default_dtype_changes_nothing(dtype):
    """Random numbers of few bits would make some qualities more likely, and a small ``p`` another one."""
    before = torch.get_default_dtype()
    expected = RandomJPEG((1, 100), p=0.001, generator=seeded()).draw((10_000,))
    try:
        torch.set_default_dtype(dtype)
        drawn = RandomJPEG((1, 100), p=0.001, generator=seeded()).draw((10_000,))
    finally:
        torch.set_default_dtype(before)
    assert drawn.quality.dtype == torch.float32
    assert torch.equal(drawn.quality, expected.quality)
    assert torch.equal(drawn.applied, expected.applied)


def test_draws_are_of_the_host_whatever_the_default_device():
    jpeg = RandomJPEG(50, p=1, subsampling=("4:2:0", "4:4:4"))
    with torch.device("meta"):
        drawn = jpeg.draw((2,))
    assert drawn.applied.device.type == drawn.quality.device.type == "cpu"
    assert drawn.subsampling in jpeg.subsampling


def test_a_plain_tuple_is_taken_as_what_was_drawn(image):
    drawn = drawn_of([30, 60], [True, False])
    assert torch.equal(RandomJPEG()(image, drawn=tuple(drawn)), RandomJPEG()(image, drawn=drawn))


def test_same_on_batch():
    jpeg = RandomJPEG((1, 100), p=0.5, same_on_batch=True, generator=seeded())
    draws = [jpeg.draw((4, 5)) for _ in range(40)]
    assert all(len(drawn.quality.unique()) == len(drawn.applied.unique()) == 1 for drawn in draws)
    assert len({float(drawn.quality[0, 0]) for drawn in draws}) > 10
    assert {bool(drawn.applied[0, 0]) for drawn in draws} == {False, True}
    several = RandomJPEG((1, 100), p=0.5, generator=seeded()).draw((4, 5))
    assert len(several.quality.unique()) > 10
    assert len(several.applied.unique()) == 2


def test_subsampling_is_drawn_for_each_call():
    jpeg = RandomJPEG(50, subsampling=tuple(SAMPLINGS), generator=seeded())
    drawn = [jpeg.draw((2,)).subsampling for _ in range(1000)]
    for name in SAMPLINGS:
        assert abs(drawn.count(name) - 250) <= 5 * np.sqrt(1000 * 1 / 4 * 3 / 4)


def test_a_fraction_is_drawn_as_it_is():
    assert RandomJPEG(33.25).draw((3,)).quality.tolist() == [33.25] * 3


def test_schedule_moves_on_in_training_and_is_saved():
    jpeg = RandomJPEG(torch.tensor([90.5, 70.0, 50.0]))
    qualities = [float(jpeg.draw().quality) for _ in range(5)]
    assert qualities == [90.5, 70, 50, 50, 50]
    again = RandomJPEG(torch.tensor([90.5, 70.0, 50.0]))
    again.load_state_dict(jpeg.state_dict())
    assert again.step == 5
    again.step.fill_(1)
    again.eval()
    assert [float(again.draw().quality) for _ in range(3)] == [70, 70, 70]


def test_schedule_of_ranges():
    rows = torch.tensor([[100.0, 100.0], [74.6, 100.0], [50.0, 60.4]])
    jpeg = RandomJPEG(rows, generator=seeded())
    drawn = [jpeg.draw((5000,)).quality.unique().tolist() for _ in range(3)]
    assert drawn == [[100], list(range(75, 101)), list(range(50, 61))]
    rows.fill_(1)
    assert float(jpeg.draw().quality) >= 50  # the caller's tensor is not kept


def test_only_a_schedule_is_part_of_the_state():
    assert not RandomJPEG((30, 95), **IMAGENET).state_dict()
    assert list(RandomJPEG(torch.tensor([50.0])).state_dict()) == ["step"]


@pytest.mark.parametrize("options", [{}, {"subsampling": ("4:2:0", "4:4:4")}])
def test_reproducible(image, options):
    images = image.repeat(8, 1, 1, 1)

    def three(seed, generator):
        torch.manual_seed(seed if generator is None else 99)
        jpeg = RandomJPEG((5, 95), generator=generator, **options)
        return torch.stack([jpeg(images) for _ in range(3)])

    assert torch.equal(three(1, None), three(1, None))
    assert not torch.equal(three(1, None), three(2, None))
    assert torch.equal(three(1, seeded(1)), three(2, seeded(1)))
    state = torch.get_rng_state()
    RandomJPEG(generator=seeded(), **options)(images)
    assert torch.equal(state, torch.get_rng_state())


def test_copied_and_saved_with_its_generator(image):
    jpeg = RandomJPEG((5, 95), p=1, generator=seeded())
    buffer = io.BytesIO()
    torch.save(jpeg, buffer)
    buffer.seek(0)
    others = [copy.deepcopy(jpeg), torch.load(buffer, weights_only=False)]
    expected = jpeg(image)
    assert all(torch.equal(other(image), expected) for other in others)


# --- what becomes of images -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subsampling", SAMPLINGS)
@pytest.mark.parametrize(
    "mode", [*MODES, {"ste": True, "rounding": "identity"}, {"ste": False, "flooring": "identity"}]
)
def test_images_and_gradients_are_those_of_the_codec_or_untouched(image, mode, subsampling):
    images = image.repeat(2, 1, 1, 1).requires_grad_()
    quality, applied = torch.tensor([20.0, 90.0, 50.0, 71.0]), torch.tensor([True, False, False, True])
    cotangent = torch.randn(images.shape, dtype=torch.float64, generator=seeded())
    jpeg = RandomJPEG(subsampling=tuple(SAMPLINGS), **{"ste": True, **mode})
    result = jpeg(images, drawn=drawn_of(quality, applied, subsampling))
    coded = diff_jpeg_coding(images, quality, subsampling=subsampling, **mode)
    expected = torch.where(applied.reshape(-1, 1, 1, 1), coded, images)
    assert torch.equal(result, expected)
    (got,), (want,) = [torch.autograd.grad(x, images, cotangent) for x in (result, expected)]
    assert torch.equal(got, want)
    assert torch.equal(got[1], cotangent[1])


@pytest.mark.parametrize("applied", [(), (0,), (0, 1, 2, 3, 4, 5)])
def test_batch_shapes(image, applied):
    """None, one and all of the images; in two batch axes, and in none."""
    images = image[:, None].repeat(1, 3, 1, 1, 1)
    flags = torch.zeros(6, dtype=torch.bool)
    flags[list(applied)] = True
    quality = torch.arange(10.0, 70, 10)
    before = images.clone()
    result = RandomJPEG()(images, drawn=drawn_of(quality.reshape(2, 3), flags.reshape(2, 3)))
    for got, x, q, flag in zip(result.flatten(0, 1), images.flatten(0, 1), quality, flags, strict=True):
        one = RandomJPEG()(x, drawn=drawn_of(q, flag))
        assert torch.equal(got, one)
        assert torch.equal(one, diff_jpeg_coding(x, q, ste=True) if flag else x)
    result.fill_(-1)  # which is nobody else's memory
    assert torch.equal(images, before)


def test_a_batch_without_images():
    assert RandomJPEG(p=1)(torch.empty(0, 3, 9, 9)).shape == (0, 3, 9, 9)


def test_channel_axes_and_gray(image):
    drawn = drawn_of([30, 60], [True, True])
    expected = diff_jpeg_coding(image, drawn.quality, ste=True)
    last = RandomJPEG(channel_axis=-1)(image.movedim(1, -1), drawn=drawn)
    torch.testing.assert_close(last.movedim(-1, 1), expected, rtol=0, atol=0)
    gray = image[:, :1]
    expected = diff_jpeg_coding(gray, drawn.quality, ste=True)
    assert torch.equal(RandomJPEG()(gray, drawn=drawn), expected)
    assert torch.equal(RandomJPEG(channel_axis=None)(gray[:, 0], drawn=drawn), expected[:, 0])


RANGES = {
    "0..1": ({"data_range": 1}, lambda x: x / 255),
    "-1..1": ({"mean": 0.5, "std": 0.5}, lambda x: x / 127.5 - 1),
    "ImageNet": (IMAGENET, lambda x: (x / 255 - of_channels("mean")) / of_channels("std")),
    "ImageNet, 0..255": (
        {**{name: [255 * n for n in IMAGENET[name]] for name in IMAGENET}, "data_range": 255},
        lambda x: (x / 255 - of_channels("mean")) / of_channels("std"),
    ),
    "mean alone": ({"mean": 100, "data_range": 255}, lambda x: x - 100),
    "std alone": ({"std": 0.25}, lambda x: x / 255 / 0.25),
}


def of_channels(name):
    return torch.tensor(IMAGENET[name], dtype=torch.float64).reshape(3, 1, 1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", RANGES)
def test_ranges(image, name, mode):
    """The picture and its gradients are the same in any range."""
    options, convert = RANGES[name]
    drawn = drawn_of([30, 60], [True, True])
    expected_at = image.clone().requires_grad_()
    expected = convert(RandomJPEG(**mode)(expected_at, drawn=drawn))
    largest = float(expected.detach().abs().max())
    at = image.clone().requires_grad_()
    result = RandomJPEG(**mode, **options)(convert(at), drawn=drawn)
    # Rounding errors of a change of the range can move what lies at a tie; nothing does here.
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-12 * largest)
    cotangent = torch.randn(image.shape, dtype=torch.float64, generator=seeded())
    (got,), (want,) = [torch.autograd.grad(x, y, cotangent) for x, y in ((result, at), (expected, expected_at))]
    torch.testing.assert_close(got, want, rtol=0, atol=1e-10 * float(want.abs().max()))


@pytest.mark.parametrize("options", [{}, {"data_range": 1}, IMAGENET])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_stays(image, dtype, options):
    unit = image / 255 if options else image
    result = RandomJPEG(50, p=1, **options)(unit.to(dtype))
    assert result.dtype == dtype
    # Computed in float32 at least, from the rounded image.
    wide = RandomJPEG(50, p=1, **options)(unit.to(dtype).to(torch.promote_types(dtype, torch.float32)))
    torch.testing.assert_close(result, wide.to(dtype), rtol=0, atol=0)


@pytest.mark.parametrize("mode", MODES)
def test_uint8_is_rounded(image, mode):
    pixels = image.round().to(torch.uint8)
    drawn = drawn_of([30, 60], [True, False])
    result = RandomJPEG(**mode)(pixels, drawn=drawn)
    expected = diff_jpeg_coding(pixels[0], 30, **{"ste": True, **mode}).clamp(0, 255).round()
    assert result.dtype == torch.uint8
    assert torch.equal(result[0].float(), expected)
    assert torch.equal(result[1], pixels[1])


# --- masks and boxes --------------------------------------------------------------------------------------------------


def test_everything_but_the_first_tensor_is_passed_through(image):
    mask, boxes = torch.ones(2, 1, 24, 40), torch.zeros(3, 4)
    jpeg = RandomJPEG(50, p=1)
    coded = diff_jpeg_coding(image, 50, ste=True)
    several = jpeg(image, mask, {"boxes": boxes, "label": 3})
    assert torch.equal(several[0], coded)
    assert several[1] is mask
    assert several[2]["boxes"] is boxes
    assert several[2]["label"] == 3
    sample = {"id": "a", "image": image, "mask": mask}
    result = jpeg(sample)
    assert torch.equal(result["image"], coded)
    assert result["mask"] is mask
    assert sample["image"] is image
    assert torch.equal(nn.Sequential(jpeg, nn.Identity())(image), coded)


# --- compilers, devices -----------------------------------------------------------------------------------------------


SIZES = [(2, 33, 17), (3, 16, 24), (5, 9, 40), (2, 7, 3), (4, 23, 31)]
COMPILED = {
    "drawn in the graph": ({"p": 0.5}, False),
    "normalized": ({"p": 0.5, **IMAGENET}, False),
    "a schedule": ({"p": 0.5, "quality": torch.linspace(20, 90, 10)}, False),
    "drawn outside": ({"p": 0.5}, True),
    "with a generator": ({"p": 0.5, "generator": seeded()}, True),
    "several subsamplings": ({"subsampling": ("4:2:0", "4:4:4"), "data_range": 1.0}, True),
}


@pytest.mark.parametrize(("name", "backend"), [*((name, "aot_eager") for name in COMPILED), ("normalized", "inductor")])
def test_one_compilation_per_subsampling_for_all_sizes_and_qualities(name, backend):
    """Without graph breaks, forward and backward."""
    options, is_drawn_outside = COMPILED[name]
    jpeg = RandomJPEG(**{"quality": (20, 90), **options})
    fast = compiled(lambda x, drawn: jpeg(x, drawn=drawn), backend=backend, dynamic=True)
    torch._dynamo.utils.counters.clear()
    graphs, seen = torch._dynamo.utils.counters["stats"], set()
    for samples, height, width in SIZES * 3:
        images = torch.rand(samples, 3, height, width, dtype=torch.float64, generator=seeded(height)).requires_grad_()
        drawn = jpeg.draw((samples,)) if is_drawn_outside else None
        result = fast(images, drawn)
        (gradient,) = torch.autograd.grad(result.square().sum(), images)
        if is_drawn_outside:
            expected = jpeg(images, drawn=drawn)
            torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-9)
            (want,) = torch.autograd.grad(expected.square().sum(), images)
            torch.testing.assert_close(gradient, want, rtol=1e-6, atol=1e-6)
            seen.add(drawn.subsampling)
        else:
            seen.add("4:2:0")
            touched = (result != images).flatten(1).any(1)
            assert torch.equal((gradient != 2 * images).flatten(1).any(1), touched)
        assert graphs["unique_graphs"] == len(seen)
    assert len(seen) == len(jpeg.subsampling)


def test_a_compiled_graph_draws_anew_and_a_schedule_moves_on():
    jpeg = RandomJPEG(torch.tensor([[10.0, 90.0]] * 4), p=1)
    fast = compiled(jpeg, backend="aot_eager")
    images = torch.rand(2, 3, 16, 16, generator=seeded()) * 255
    results = [fast(images) for _ in range(6)]
    assert len({float(x.sum()) for x in results}) > 3
    assert jpeg.step == 6


@pytest.mark.parametrize("options", [{"generator": seeded()}, {"subsampling": ("4:2:0", "4:4:4")}])
def test_what_python_draws_breaks_the_graph_or_is_refused(options):
    jpeg = RandomJPEG(50, p=1, **options)
    images = torch.rand(2, 3, 16, 16, generator=seeded()) * 255
    coded = [diff_jpeg_coding(images, 50, ste=True, subsampling=name) for name in jpeg.subsampling]
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("eager")
    fast = torch.compile(jpeg, backend=counter)
    for _ in range(6):
        result = fast(images)
        assert any(torch.equal(result, each) for each in coded)
    assert counter.frame_count >= 1
    with pytest.raises(torch._dynamo.exc.Unsupported, match="_draw_outside"):
        compiled(jpeg, backend="eager")(images)


@pytest.mark.parametrize("device", DEVICES)
def test_the_same_draws_on_every_device(image, device):
    images = image.repeat(4, 1, 1, 1)
    jpeg = RandomJPEG((5, 95), generator=seeded())
    expected = jpeg(images)
    other = RandomJPEG((5, 95), generator=seeded()).to(device)
    torch.testing.assert_close(other(images.to(device)).cpu(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("options", [{"data_range": 2.5}, IMAGENET])
def test_constants_of_a_device_do_not_break_the_graph(remote, options):
    jpeg = RandomJPEG(50, p=1, **options)
    images = torch.rand(2, 3, 17, 19, dtype=torch.float64, generator=seeded())
    fast = compiled(jpeg, backend="aot_eager", dynamic=True)
    for part in (images, images[:, :, :9]):
        torch.testing.assert_close(fast(part), jpeg(part), rtol=1e-9, atol=1e-9)


def test_meta_and_fake_tensors():
    """Shapes and dtypes without values, where there is no such device."""
    for jpeg in (RandomJPEG(p=0.5, **IMAGENET), RandomJPEG(torch.tensor([[20.0, 40.0]])).to("meta")):
        result = jpeg(torch.empty(2, 3, 17, 9, device="meta", dtype=torch.float16))
        assert (result.shape, result.dtype, result.device.type) == ((2, 3, 17, 9), torch.float16, "meta")
    with FakeTensorMode():
        for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
            result = RandomJPEG(p=0.5)(torch.empty(2, 3, 17, 9, device=device))
            assert (result.shape, result.device.type) == ((2, 3, 17, 9), device)
    with torch.device("meta"):
        assert RandomJPEG(torch.tensor([20.0])).step.is_meta


def test_gradients_of_functions_and_checkpoints(image):
    drawn = drawn_of([30, 60], [True, False])
    jpeg = RandomJPEG()
    loss = lambda x: jpeg(x, drawn=drawn).square().sum()
    leaf = image.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss(leaf), leaf)
    assert torch.equal(torch.func.grad(loss)(image), expected)
    per_image = torch.func.vmap(torch.func.grad(lambda x: jpeg(x, drawn=drawn_of(30, True)).square().sum()))(image)
    torch.testing.assert_close(per_image[0], expected[0])
    torch.manual_seed(3)
    direct = RandomJPEG((5, 95))(leaf).square().sum()
    torch.manual_seed(3)
    again = torch.utils.checkpoint.checkpoint(RandomJPEG((5, 95)), leaf, use_reentrant=False).square().sum()
    (got,), (want,) = torch.autograd.grad(again, leaf), torch.autograd.grad(direct, leaf)
    assert torch.equal(got, want)


def test_tells_what_it_is():
    text = repr(RandomJPEG((30, 95), p=0.25, subsampling=("4:4:4",)))
    assert "quality=[30.0, 95.0]" in text
    assert "p=0.25" in text
    assert "quality=schedule" in repr(RandomJPEG(torch.tensor([50.0])))
