"""Arguments of `RandomJPEG` that cannot be right, and what is said about them."""

import re

import pytest

torch = pytest.importorskip("torch")

from pyjpegdiff.adapters.torch import Drawn, RandomJPEG  # noqa: E402

REFUSED = [
    (ValueError, "quality must be in 1..100, got 0", {"quality": (0, 50)}),
    (ValueError, "quality must be in 1..100, got 101", {"quality": 101}),
    (ValueError, "quality must be in 1..100, got nan", {"quality": float("nan")}),
    (ValueError, "quality must be a pair (lowest, highest) of whole numbers, got (60, 50)", {"quality": (60, 50)}),
    (ValueError, "quality must be a pair (lowest, highest) of whole numbers, got (5, 7.5)", {"quality": (5, 7.5)}),
    (ValueError, "quality must be a number or a pair (lowest, highest), got 3 numbers", {"quality": (1, 2, 3)}),
    (TypeError, "quality must be a number, a pair of numbers, or a tensor, got str", {"quality": "50"}),
    (TypeError, "quality must be a number, a pair of numbers, or a tensor, got bool", {"quality": (True, 50)}),
    (ValueError, "quality must have shape (steps,) or (steps, 2) as a tensor, got ()", {"quality": torch.tensor(5.0)}),
    (ValueError, "quality must have shape (steps,) or (steps, 2)", {"quality": torch.ones(0)}),
    (ValueError, "quality must have shape (steps,) or (steps, 2)", {"quality": torch.ones(3, 3)}),
    (ValueError, "got a schedule of 0..50", {"quality": torch.tensor([0.0, 50.0])}),
    (ValueError, "got a schedule of 40..50", {"quality": torch.tensor([[50.0, 40.0]])}),
    (ValueError, "got a schedule of nan..nan", {"quality": torch.tensor([float("nan")])}),
    (ValueError, "DiffJPEGCoding passes one", {"quality": torch.tensor([50.0], requires_grad=True)}),
    (ValueError, "p must be in 0..1, got 1.5", {"p": 1.5}),
    (ValueError, "p must be in 0..1, got nan", {"p": float("nan")}),
    (TypeError, "p must be a number, got bool", {"p": True}),
    (TypeError, "same_on_batch must be True or False, got int", {"same_on_batch": 1}),
    (ValueError, "subsampling must be one of", {"subsampling": ("4:2:0", "4:1:1")}),
    (TypeError, "subsampling must be a string or a sequence of strings, got ()", {"subsampling": ()}),
    (TypeError, "subsampling must be a string or a sequence of strings, got 420", {"subsampling": 420}),
    (ValueError, "arithmetic must be one of", {"arithmetic": "exact"}),
    (ValueError, "rounding must be one of", {"rounding": "square"}),
    (ValueError, "data_range must be positive and finite, got 0", {"data_range": 0}),
    (ValueError, "data_range must be positive and finite, got inf", {"data_range": float("inf")}),
    (ValueError, "mean must be one number or three, got 2", {"mean": (0.5, 0.5)}),
    (ValueError, "mean must be finite", {"mean": float("nan")}),
    (ValueError, "mean must be in 0..data_range, which is 0..1 here, got 123.7", {"mean": 123.7}),
    (ValueError, "mean must be in 0..data_range, which is 0..1 here, got -0.5", {"mean": -0.5}),
    (ValueError, "std must be positive, got 0", {"std": 0}),
    (TypeError, "std must be a number or a sequence of three, got str", {"std": "0.5"}),
    (ValueError, "channel_axis must be -3, -2, -1 or None, since batch axes come first, got 0", {"channel_axis": 0}),
    (TypeError, "channel_axis must be an integer or None, got str", {"channel_axis": "C"}),
    (TypeError, "generator must be a torch.Generator or None, got int", {"generator": 3}),
]


@pytest.mark.parametrize(("error", "message", "options"), REFUSED)
def test_refused_at_construction(error, message, options):
    with pytest.raises(error, match=re.escape(message)):
        RandomJPEG(**options)


def test_a_generator_of_a_device_is_refused():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    with pytest.raises(ValueError, match="generator must be one of the host"):
        RandomJPEG(generator=torch.Generator("cuda"))


IMAGE = torch.zeros(2, 3, 8, 8)
ALL = Drawn(torch.tensor([50.0, 50.0]), torch.tensor([True, True]), "4:2:0")
CALLS = [
    (TypeError, "inputs must hold an image as a tensor, got str, int", {}, ("a", {"label": 3}), {}),
    (TypeError, "inputs must hold an image as a tensor, got nothing", {}, ({},), {}),
    (TypeError, "an image must have a floating dtype or uint8, got torch.int64", {}, (IMAGE.long(),), {}),
    (ValueError, "image_rgb must have 3 channels, or 1 of gray", {}, (torch.zeros(2, 8, 8, 3),), {}),
    (ValueError, "image_rgb must have at least one row and one column", {}, (torch.zeros(2, 3, 0, 8),), {}),
    (ValueError, "a uint8 image has values 0..255", {"data_range": 1}, (IMAGE.byte(),), {}),
    (ValueError, "a uint8 image has values 0..255", {"mean": 0.5, "std": 0.5}, (IMAGE.byte(),), {}),
    (ValueError, "mean must be one number", {"mean": (0.4, 0.5, 0.6)}, (torch.zeros(1, 8, 8),), {}),
    (ValueError, "std must be one number", {"std": (0.4, 0.5, 0.6), "channel_axis": None}, (torch.zeros(8, 8),), {}),
    (TypeError, "drawn must be what draw returns, got int", {}, (IMAGE,), {"drawn": 50}),
    (ValueError, "drawn.quality must have the batch shape (3,)", {}, (torch.zeros(3, 3, 8, 8),), {"drawn": ALL}),
    (ValueError, "drawn.applied", {}, (IMAGE,), {"drawn": ALL._replace(applied=torch.tensor(True))}),
    (TypeError, "drawn.quality must be a tensor, got int", {}, (IMAGE,), {"drawn": ALL._replace(quality=50)}),
    (TypeError, "drawn.applied must be a tensor, got bool", {}, (IMAGE,), {"drawn": (*ALL[:1], True, "4:2:0")}),
    (TypeError, "drawn.applied must have dtype torch.bool", {}, (IMAGE,), {"drawn": ALL._replace(applied=ALL[0])}),
]


@pytest.mark.parametrize("p", [0, 1])
@pytest.mark.parametrize(("error", "message", "options", "inputs", "keywords"), CALLS)
def test_refused_at_a_call_whatever_is_drawn(error, message, options, inputs, keywords, p):
    with pytest.raises(error, match=re.escape(message)):
        RandomJPEG(**options, p=p)(*inputs, **keywords)
