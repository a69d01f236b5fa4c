"""`RandomJPEG`: JPEG of random quality, as a step of augmentation.

All that is random is drawn first. What follows is a function of the images and of what was drawn, so it compiles.
"""

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from pyjpegdiff import arguments, checks
from pyjpegdiff.adapters import _torch_choices as choices
from pyjpegdiff.adapters._torch_constants import constant_of_call, torch_namespace
from pyjpegdiff.layout import Layout
from pyjpegdiff.types import Rounding


class Drawn(NamedTuple):
    """What `RandomJPEG` draws for the images of one call."""

    quality: Tensor
    """Of each image: float32, in the batch shape."""
    applied: Tensor
    """Whether each image is compressed: bool, in the batch shape."""
    subsampling: str
    """Of all of them."""


class RandomJPEG(nn.Module):
    """JPEG of random quality, for some of the images: an augmentation with gradients.

    It is a step of `torch.nn.Sequential`, of `torchvision.transforms.v2.Compose` and of kornia's
    ``AugmentationSequential``. It acts the same in training and in evaluation.

    Parameters
    ----------
    quality : number, pair of numbers, or Tensor of shape (steps,) or (steps, 2)
        A number, 1..100, is the quality of all images. From a pair (lowest, highest) of whole numbers, each image gets
        a whole quality, both ends included, all equally likely. A tensor is a schedule: each call in training mode
        takes the next of its numbers or pairs, and stays at the last one. Its pairs are rounded to whole numbers. The
        module counts the calls in its buffer ``step``, which is saved with its state.
    p : float
        The probability that an image is compressed, 0..1.
    same_on_batch : bool
        Whether all images of a call share one quality, and are compressed either all or not at all.
    subsampling : str or sequence of str
        One of `pyjpegdiff.diff_jpeg_coding`'s, or several: then each call draws one for all of its images.
    ste, arithmetic, rounding, flooring, channel_axis
        As in `pyjpegdiff.diff_jpeg_coding`, but that ``ste`` is True by default, and that ``channel_axis`` is -3, -2,
        -1 or None.
    data_range : float, optional
        The value of white, before normalization. Default: 1 where ``mean`` or ``std`` is given, else 255.
    mean, std : float or sequence of 3 floats, optional
        For images that were normalized: ``image * std + mean`` is in 0..``data_range``. For -1..1 both are 0.5.
        Default: 0 and 1.
    generator : torch.Generator, optional
        Of the host, for reproducible draws. Default: torch's own, which `torch.manual_seed` seeds. Leave it out where
        the workers of a `torch.utils.data.DataLoader` draw: each would have a copy of it, and all would draw the same.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is allowed.

    Notes
    -----
    Under `torch.compile`, with ``fullgraph=True`` too, one compilation serves images of all sizes and all qualities.
    A generator, and several subsamplings, are drawn from in Python. That is outside of a compiled graph: there is a
    graph break before this module, or the caller draws outside, ``jpeg(images, drawn=jpeg.draw(images.shape[:-3]))``.
    Compiled code compresses all images and then selects; otherwise only those to be compressed cost time.

    ``torch.utils.checkpoint`` runs a step twice, and repeats only what torch's own generator draws. With a generator or
    a schedule, draw outside of what is checkpointed, or the gradient is that of another quality.

    Examples
    --------
    >>> import torch
    >>> from pyjpegdiff.adapters.torch import RandomJPEG
    >>> jpeg = RandomJPEG((30, 95), p=0.8, data_range=1)
    >>> images = torch.rand(4, 3, 32, 32, requires_grad=True)
    >>> jpeg(images).square().mean().backward()
    >>> images.grad.shape
    torch.Size([4, 3, 32, 32])
    """

    step: Tensor | None
    _ranges: Tensor

    def __init__(
        self,
        quality: float | tuple[float, float] | Tensor = (50, 95),
        *,
        p: float = 0.5,
        same_on_batch: bool = False,
        subsampling: str | Sequence[str] = "4:2:0",
        ste: bool = True,
        arithmetic: str = "float",
        rounding: Rounding = "rational",
        flooring: str | None = None,
        data_range: float | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        channel_axis: int | None = -3,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("_ranges", choices.ranges(quality), persistent=False)
        self.register_buffer("step", torch.tensor(0) if isinstance(quality, Tensor) else None)
        self.p = choices.probability(p)
        self.same_on_batch = checks.flag("same_on_batch", same_on_batch)
        self.subsampling = choices.subsamplings(subsampling)
        self.mean, self.std, self.data_range = choices.normalization(mean, std, data_range)
        self.channel_axis = choices.channel_axis(channel_axis)
        self.generator = choices.generator(generator)
        self.codec: dict[str, Any] = {
            "ste": ste, "arithmetic": arithmetic, "rounding": rounding, "flooring": flooring,
            "data_range": self.data_range, "channel_axis": channel_axis,
        }  # fmt: skip
        for each in self.subsampling:
            arguments.check_choices(**self.codec, subsampling=each, color_matrix=None, color_offset=None)

    def draw(self, batch_shape: Sequence[int] = ()) -> Drawn:
        """Draw, on the host, what `forward` takes as ``drawn``. In training mode, a schedule moves on.

        Parameters
        ----------
        batch_shape : sequence of int
            The shape of the images without their core dimensions: ``images.shape[:-3]``.

        Returns
        -------
        Drawn
            A named tuple of ``quality`` (float32) and ``applied`` (bool), both of the batch shape, and
            ``subsampling``.
        """
        return self._draw(batch_shape, torch.device("cpu"))

    def forward(self, *inputs: Any, drawn: Drawn | None = None) -> Any:
        """Compress images at random.

        Parameters
        ----------
        *inputs : Tensor, or anything with tensors in it
            Images (..., 3, H, W), or (..., 1, H, W) of gray, floating or uint8, alone or among masks, boxes and
            labels in tuples, lists and dicts. Images are all ``tv_tensors.Image`` and ``tv_tensors.Video`` that are
            there; if there are none, the first plain tensor. All else is passed through. Several images share one
            draw, and need the same batch shape.
        drawn : Drawn, optional
            What to do, as `draw` returns it. Default: it is drawn.

        Returns
        -------
        The same, in the structure of the inputs
            New images, of the same shapes and dtypes. A uint8 image is rounded, and passes no gradient.

        Raises
        ------
        TypeError, ValueError
            Naming what does not fit: an image's dtype, channels or batch shape, or ``drawn``.
        """
        leaves, structure = tree_flatten(inputs[0] if len(inputs) == 1 else inputs)
        vision = sys.modules.get("torchvision.tv_tensors")
        places = choices.images_among(leaves, vision)
        for place in places:
            leaf = leaves[place]
            is_wrapped = vision is not None and isinstance(leaf, vision.TVTensor)
            image = leaf.as_subclass(Tensor) if is_wrapped else leaf
            batch_shape = self._batch_shape(image)
            drawn = self._draw_for(image, batch_shape) if drawn is None else drawn
            choices.check_drawn(drawn, batch_shape)
            result = self._apply_drawn(image, batch_shape, Drawn(*drawn))
            leaves[place] = vision.wrap(result, like=leaf) if vision is not None and is_wrapped else result
        return tree_unflatten(leaves, structure)

    def extra_repr(self) -> str:
        """Choices, for ``repr``."""
        names = ("p", "same_on_batch", "subsampling", "mean", "std")
        shown = {name: getattr(self, name) for name in names} | self.codec
        ranges = "schedule" if self.step is not None else self._ranges[0].tolist()
        return ", ".join([f"quality={ranges}", *(f"{name}={value!r}" for name, value in shown.items())])

    # --- drawing ------------------------------------------------------------------------------------------------------

    def _draw_for(self, image: Tensor, batch_shape: Sequence[int]) -> Drawn:
        if not torch.compiler.is_compiling():
            return self.draw(batch_shape)
        if self.generator is not None or len(self.subsampling) > 1:
            return self._draw_outside(batch_shape)
        return self._draw(batch_shape, image.device)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _draw_outside(self, batch_shape: Sequence[int]) -> Drawn:
        return self.draw(batch_shape)

    def _draw(self, batch_shape: Sequence[int], device: torch.device) -> Drawn:
        shape = [1] * len(batch_shape) if self.same_on_batch else batch_shape
        # A compiler takes no `generator` beside symbolic sizes, be it None.
        options: dict[str, Any] = {"device": device} | ({} if self.generator is None else {"generator": self.generator})
        numbers = torch.rand(2, *shape, dtype=torch.float32, **options)
        of_quality, of_application = [n.expand(tuple(batch_shape)) for n in numbers.unbind()]
        lowest, highest = self._range()
        # Random numbers are 1 - 2^-24 at most. Their product stays below highest - lowest + 1 in float32, too.
        quality = lowest + (of_quality.to(lowest.device) * (highest - lowest + 1)).floor()
        several = len(self.subsampling) > 1
        index = int(torch.randint(len(self.subsampling), (), **options)) if several else 0
        return Drawn(quality, of_application < self.p, self.subsampling[index])

    def _range(self) -> Sequence[Tensor]:
        """The lowest and the highest quality now; a schedule moves on."""
        if self.step is None:
            return self._ranges[0].float().unbind()
        # Selected on the device of `step`: to read it here would be to wait for that.
        row = self._ranges.index_select(0, self.step.clamp(max=len(self._ranges) - 1).reshape(1))
        if self.training:
            self.step += 1
        return row[0].float().unbind()

    # --- what was drawn, done -----------------------------------------------------------------------------------------

    def _batch_shape(self, image: Tensor) -> Sequence[int]:
        shape = tuple(image.shape)
        channel_axis, channels = checks.channels(shape, self.channel_axis)
        canonical = Layout(channel_axis).canonical_shape(shape)
        checks.image_size(shape, canonical)
        choices.check_image(image, channels, self.mean, self.std, self.data_range)
        return canonical[:-3]

    def _apply_drawn(self, image: Tensor, batch_shape: Sequence[int], drawn: Drawn) -> Tensor:
        images = image.reshape(-1, *image.shape[len(batch_shape) :])
        quality, applied = drawn.quality.reshape(-1), drawn.applied.reshape(-1)
        if torch.compiler.is_compiling() or type(applied) is not Tensor or applied.device.type != "cpu":
            # A graph does not know how many images are to be compressed; to ask a device would be to wait for it.
            coded = self._round_trip(images, quality, drawn.subsampling)
            chosen = applied.to(image.device).reshape(-1, *[1] * (images.ndim - 1))
            return torch.where(chosen, coded, images).reshape(image.shape)
        places = applied.nonzero()[:, 0]
        if len(places) == 0:
            return image.clone()
        quality = quality.index_select(0, places.to(quality.device))
        places = places.to(image.device)
        coded = self._round_trip(images.index_select(0, places), quality, drawn.subsampling)
        return images.index_copy(0, places, coded).reshape(image.shape)

    def _round_trip(self, images: Tensor, quality: Tensor, subsampling: str) -> Tensor:
        from pyjpegdiff.adapters.torch import diff_jpeg_coding  # which imports this file

        is_normalized = self.mean is not None and self.std is not None
        pixels = images
        if is_normalized:
            pixels = images.to(torch.promote_types(images.dtype, torch.float32))
            mean, std = self._per_channel(self.mean, pixels), self._per_channel(self.std, pixels)
            pixels = pixels * std + mean
        coded = diff_jpeg_coding(pixels, quality, subsampling=subsampling, **self.codec)
        if is_normalized:
            coded = (coded - mean) / std
        if images.dtype == torch.uint8:
            coded = coded.round().clamp(0, 255)
        return coded.to(images.dtype)

    def _per_channel(self, values: tuple[float, ...] | None, image: Tensor) -> Tensor:
        constant = constant_of_call(torch_namespace, values, image.dtype, image.device)
        shape = [1, 1, 1]
        shape[0 if self.channel_axis is None else self.channel_axis] = -1
        return constant.reshape(shape if self.channel_axis is not None else (1, 1))
