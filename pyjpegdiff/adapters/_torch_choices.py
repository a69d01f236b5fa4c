"""Checks of the arguments of `RandomJPEG`: each says what came and what is allowed, or returns what it read."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyjpegdiff import checks


def ranges(quality: Any) -> Tensor:
    """Rows of lowest and highest qualities, float32: one, or those of a schedule."""
    if isinstance(quality, Tensor):
        return _schedule(quality)
    if isinstance(quality, (tuple, list)):
        if len(quality) != 2:
            raise ValueError(f"quality must be a number or a pair (lowest, highest), got {len(quality)} numbers")
        lowest, highest = [_quality(each) for each in quality]
        if lowest > highest or not (lowest.is_integer() and highest.is_integer()):
            raise ValueError(f"quality must be a pair (lowest, highest) of whole numbers, got {quality!r}")
        return torch.tensor([[lowest, highest]])
    return torch.tensor([[_quality(quality)] * 2])


def _quality(value: Any) -> float:
    one = checks.number("quality", value, "a number, a pair of numbers, or a tensor")
    if not 1 <= one <= 100:
        raise ValueError(f"quality must be in 1..100, got {one:g}")
    return one


def _schedule(quality: Tensor) -> Tensor:
    if quality.requires_grad:
        raise ValueError(
            "quality must not require a gradient here, where it is drawn; DiffJPEGCoding passes one to its quality"
        )
    if quality.ndim not in (1, 2) or quality.shape[0] < 1 or (quality.ndim == 2 and quality.shape[1] != 2):
        raise ValueError(f"quality must have shape (steps,) or (steps, 2) as a tensor, got {tuple(quality.shape)}")
    rows = quality.float()
    rows = torch.stack([rows, rows], -1) if rows.ndim == 1 else rows.round()
    # A meta tensor has no values.
    if not rows.is_meta and not bool(((rows >= 1) & (rows <= 100) & (rows[:, :1] <= rows[:, 1:])).all()):
        raise ValueError(
            "quality must be in 1..100, and the first number of a pair must not be above the second, got a schedule "
            f"of {quality.min().item():g}..{quality.max().item():g}"
        )
    return rows


def probability(p: Any) -> float:
    """A number in 0..1."""
    value = checks.number("p", p, "a number")
    if not 0 <= value <= 1:
        raise ValueError(f"p must be in 0..1, got {value:g}")
    return value


def subsamplings(subsampling: Any) -> tuple[str, ...]:
    """One or several."""
    several = (subsampling,) if isinstance(subsampling, str) else subsampling
    if not isinstance(several, (tuple, list)) or not several:
        raise TypeError(f"subsampling must be a string or a sequence of strings, got {subsampling!r}")
    return tuple(several)


def normalization(
    mean: Any, std: Any, data_range: Any
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None, float]:
    """Mean and standard deviation per channel, None where images were not normalized, and the value of white."""
    if mean is None and std is None:
        return None, None, checks.data_range(data_range)
    white = checks.data_range(1 if data_range is None else data_range)
    means, deviations = (
        _per_channel("mean", 0.0 if mean is None else mean),
        _per_channel("std", 1 if std is None else std),
    )
    if not all(deviation > 0 for deviation in deviations):
        raise ValueError(f"std must be positive, got {std!r}")
    # The mean of pixel values is one of their range. Another one is in other units than data_range.
    if not all(0 <= each <= white for each in means):
        raise ValueError(f"mean must be in 0..data_range, which is 0..{white:g} here, got {mean!r}")
    return means, deviations, white


def _per_channel(name: str, value: Any) -> tuple[float, ...]:
    values = value.tolist() if hasattr(value, "tolist") else value
    several = tuple(values) if isinstance(values, (tuple, list)) else (values,)
    if len(several) not in (1, 3):
        raise ValueError(f"{name} must be one number or three, got {len(several)}")
    numbers = tuple([checks.number(name, each, "a number or a sequence of three") for each in several])
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return numbers


def channel_axis(value: Any) -> int | None:
    """One of the last three axes, or None."""
    if value is not None and not -3 <= checks.axis(value) <= -1:
        raise ValueError(f"channel_axis must be -3, -2, -1 or None, since batch axes come first, got {value}")
    return value


def generator(value: Any) -> torch.Generator | None:
    """A generator of the host."""
    if value is None:
        return None
    if not isinstance(value, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator or None, got {checks.kind(value)}")
    if value.device.type != "cpu":
        raise ValueError(f"generator must be one of the host, where all is drawn, got one of {value.device}")
    return value


# --- of a call --------------------------------------------------------------------------------------------------------


def images_among(leaves: Sequence[Any], vision: Any) -> list[int]:
    """Where the images are: torchvision's own by their types, or the first plain tensor.

    ``vision`` is ``torchvision.tv_tensors``, or None where nobody has imported it.
    """
    if vision is not None:
        wrapped = [i for i, leaf in enumerate(leaves) if isinstance(leaf, (vision.Image, vision.Video))]
        if wrapped:
            return wrapped
    for i, leaf in enumerate(leaves):
        if isinstance(leaf, Tensor) and not (vision is not None and isinstance(leaf, vision.TVTensor)):
            return [i]
    kinds = ", ".join(checks.kind(leaf) for leaf in leaves)
    raise TypeError(
        f"inputs must hold an image as a tensor, got {kinds or 'nothing'}; torchvision's v2.ToImage makes one of a PIL "
        "image or a NumPy array"
    )


def check_image(
    image: Tensor, channels: int, mean: tuple[float, ...] | None, std: tuple[float, ...] | None, white: float
) -> None:
    """An image of a dtype and a range that fit, whether or not it will be compressed."""
    if not (image.is_floating_point() or image.dtype == torch.uint8):
        raise TypeError(f"an image must have a floating dtype or uint8, got {image.dtype}")
    if image.dtype == torch.uint8 and (mean is not None or white != 255):
        raise ValueError(
            f"a uint8 image has values 0..255: mean and std must be None, and data_range None or 255, got {white:g}; "
            "convert the image to a floating dtype first"
        )
    for name, values in (("mean", mean), ("std", std)):
        if values is not None and len(values) != 1 and len(values) != channels:
            raise ValueError(f"{name} must be one number for an image of one channel, got {len(values)}")


def check_drawn(drawn: Any, batch_shape: Sequence[int]) -> None:
    """What was drawn for images of this batch shape."""
    if not (isinstance(drawn, tuple) and len(drawn) == 3):
        raise TypeError(f"drawn must be what draw returns, got {checks.kind(drawn)}")
    quality, applied, _ = drawn
    for name, value in (("quality", quality), ("applied", applied)):
        if not isinstance(value, Tensor):
            raise TypeError(f"drawn.{name} must be a tensor, got {checks.kind(value)}")
        if tuple(value.shape) != tuple(batch_shape):
            raise ValueError(
                f"drawn.{name} must have the batch shape {tuple(batch_shape)} of the images, got {tuple(value.shape)}"
            )
    if applied.dtype != torch.bool:
        raise TypeError(f"drawn.applied must have dtype torch.bool, got {applied.dtype}")
