"""Learning quantization tables from images, by the exact rate and a distortion, with NumPy alone."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyjpegdiff.api import jpeg_decode_vjp, jpeg_encode
from pyjpegdiff.distortions import squared_error
from pyjpegdiff.rate import HUFFMAN, jpeg_rate_vjp
from pyjpegdiff.results import Coefficients
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE

Floats = NDArray[np.float64]
Distortion = Callable[[Floats, Floats], tuple[float, Floats]]

QUALITIES = (20.0, 35.0, 50.0, 65.0, 80.0, 90.0, 95.0)
LARGEST = 255.0
MOMENTUM, SQUARES = 0.9, 0.98
FLOOR = 3e-3
"""Gradients of logarithms below this do not move an entry by a full step: no image uses it."""


class LearnedTables(NamedTuple):
    """Tables for ``quantization_table_y`` and ``quantization_table_c``, whole numbers in 1..255, shape (8, 8)."""

    luma: NDArray[np.int64]
    chroma: NDArray[np.int64]


@dataclass(frozen=True)
class Learning:
    """Where learning stands: all that it needs to go on, and the tables so far."""

    iteration: int
    logarithms: Floats
    """Of both tables, (2, 8, 8)."""
    momentum: Floats
    squares: Floats
    share: Floats
    """The share of each entry in the change of rate when all steps grow alike; the sum is 1."""

    @property
    def tables(self) -> LearnedTables:
        """The tables as a file stores them at quality 50."""
        return LearnedTables(*np.clip(np.round(np.exp(self.logarithms)), 1, 255).astype(np.int64))


def learn_tables(
    images: Sequence[NDArray[np.uint8]],
    quality: float | Sequence[float] = QUALITIES,
    *,
    distortion: Distortion = squared_error,
    subsampling: str = "4:2:0",
    huffman: str = "optimized",
    start: tuple[ArrayLike, ArrayLike] = (LUMINANCE, CHROMINANCE),
    iterations: int = 200,
    batch: int = 8,
    learning_rate: float = 0.06,
    seed: int = 0,
    resume: Learning | None = None,
    progress: Callable[[Learning], None] | None = None,
) -> LearnedTables:
    r"""Tables that need fewer bytes for the same distortion.

    Parameters
    ----------
    images : sequence of uint8 arrays, shape (H, W, 3) or (H, W)
        RGB or gray, 0..255. An iteration costs time in proportion to their size: crops of 256x256 serve.
    quality : float or sequence of float
        From 1 to below 100, at which the tables will be used. Quality scales tables; at 50 they are unchanged.
    distortion : callable
        ``distortion(image, decoded)`` is a positive number and its gradient with respect to ``decoded``, both images
        float64, channels last. `pyjpegdiff.distortions` has three.
    subsampling, huffman : str
        As in `pyjpegdiff.jpeg_encode` and `pyjpegdiff.jpeg_rate`.
    start : pair of arrays, shape (8, 8)
        The tables of luma and chroma to begin with, 1..255. They decide what a quality means: learning changes the
        shape of tables, not their scale.
    iterations, batch : int
        Number of changes of the tables, and of pairs of an image and a quality that each looks at.
    learning_rate : float
        The largest relative change of an entry in one iteration, about.
    seed : int
        Decides the order of the pairs. The same arguments give the same tables.
    resume : Learning, optional
        What ``progress`` was called with: goes on from there, with the same result as without the interruption.
    progress : callable, optional
        Called with a `Learning` after every iteration.

    Returns
    -------
    LearnedTables
        Whole numbers in 1..255.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is allowed.

    Notes
    -----
    Let R be the bits and D the distortion of an image at a quality, and r, d the gradients of their logarithms with
    respect to the logarithms of the 128 steps. The tables follow

    .. math:: g = r - d \, \frac{\sum r}{\sum d},

    the gradient of :math:`\log R + \lambda \log D` with the :math:`\lambda` for which a common factor of all steps
    changes nothing. So g is, to first order, the change of log R at equal D: of the Bjontegaard delta rate. Only the
    shares of the entries in r and in d matter, not the sums, which removes most of the bias that the identity has
    in d. There is no trade-off to choose.

    r is that of `pyjpegdiff.jpeg_rate_vjp` at unrounded coefficients. For d the derivative of rounding is 1: with G the
    cotangent of the reconstructed coefficient, u the coefficient over its step and k what it is rounded to, d is the
    sum of :math:`G (k - u)` times step / D. Entries whose step a file would clip have no gradient. Steps are not
    rounded while learning. The logarithms change by Adam (Kingma & Ba, ICLR 2015), less the part that would scale all
    steps alike.

    Examples
    --------
    >>> import numpy as np
    >>> from pyjpegdiff.learning import learn_tables
    >>> noise = np.random.default_rng(0).normal(128, 40, (64, 64, 3))
    >>> image = noise.clip(0, 255).astype(np.uint8)
    >>> luma, chroma = learn_tables([image], 50, iterations=20)
    >>> bool(luma[7, 7] < 99 and luma[0, 1] > 11)  # noise has all frequencies alike
    True
    """
    samples = [_Sample.of(image, subsampling) for image in _images(images)]
    qualities = _qualities(quality)
    if huffman not in HUFFMAN:
        raise ValueError(f"huffman must be one of {', '.join(HUFFMAN)}, got {huffman!r}")
    for name, count in (("iterations", iterations), ("batch", batch)):
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise ValueError(f"learning_rate must be a positive number, got {learning_rate}")
    state = _begin(start) if resume is None else resume
    pairs = _pairs(len(samples), len(qualities), seed)
    drawn = [[next(pairs) for _ in range(batch)] for _ in range(iterations)]
    for at in drawn[state.iteration :]:
        chosen = [(samples[sample], qualities[quality]) for sample, quality in at]
        rate = learning_rate * min(1.0, 2 * (1 - state.iteration / iterations))
        state = _step(state, chosen, distortion, huffman, rate)
        if progress is not None:
            progress(state)
    return state.tables


# --- one iteration ----------------------------------------------------------------------------------------------------

TABLES = (0, 1, 1)
"""Which of the two tables the planes Y, Cb and Cr have."""


class _Sample(NamedTuple):
    """An image, and its coefficients before they are divided by steps."""

    image: Floats
    planes: list[Floats]
    subsampling: str | None

    @classmethod
    def of(cls, image: NDArray[np.uint8], subsampling: str) -> "_Sample":
        pixels, ones = image.astype(np.float64), np.ones((8, 8))
        axis = None if image.ndim == 2 else -1
        # At quality 50 tables are steps.
        found = jpeg_encode(
            pixels, 50, ones, None if axis is None else ones,
            subsampling=subsampling, rounding="identity", channel_axis=axis,
        )  # fmt: skip
        return cls(pixels, _planes(found), found.subsampling)

    def coefficients(self, planes: list[Floats], steps: Floats) -> Coefficients:
        """Planes in units of their steps, as the codec takes them."""
        y, cb, cr = planes if len(planes) > 1 else (*planes, None, None)
        of_chroma = None if cb is None else steps[1]
        height, width = self.image.shape[:2]
        return Coefficients(y, cb, cr, steps[0], of_chroma, (height, width), self.subsampling)


def _planes(coefficients: Coefficients) -> list[Floats]:
    return [plane for plane in (coefficients.y, coefficients.cb, coefficients.cr) if plane is not None]


def _step(
    state: Learning, chosen: Iterable[tuple[_Sample, float]], distortion: Distortion, huffman: str, rate: float
) -> Learning:
    gradients, shares = [], []
    for sample, quality in chosen:
        of_rate, of_distortion = _gradients(sample, np.exp(state.logarithms) * _scale(quality), distortion, huffman)
        whole, mended = of_rate.sum(), of_distortion.sum()
        if whole < 0 < mended:  # else there is nothing to trade: an image of one color, or steps that are all clipped
            gradients.append(of_rate - of_distortion * (whole / mended))
            shares.append(of_rate / whole)
    gradient = np.mean(gradients, 0) if gradients else np.zeros_like(state.logarithms)
    share = np.mean(shares, 0) if shares else state.share
    momentum = MOMENTUM * state.momentum + (1 - MOMENTUM) * gradient
    squares = SQUARES * state.squares + (1 - SQUARES) * gradient**2
    share = MOMENTUM * state.share + (1 - MOMENTUM) * share if state.iteration else share
    done = state.iteration + 1
    change = -rate * momentum / (1 - MOMENTUM**done) / (np.sqrt(squares / (1 - SQUARES**done)) + FLOOR)
    used = share.sum(axis=(1, 2), keepdims=True) > 0  # where all images are gray, chroma stays
    change -= np.where(used, np.sum(change * share), 0)
    logarithms = np.clip(state.logarithms + change, 0, math.log(LARGEST))
    return Learning(done, logarithms, momentum, squares, share)


def _gradients(sample: _Sample, raw: Floats, distortion: Distortion, huffman: str) -> tuple[Floats, Floats]:
    """Of the logarithms of bits and distortion with respect to those of the steps, (2, 8, 8) each."""
    steps = np.clip(raw, 1, LARGEST)
    unrounded = [plane / steps[table] for table, plane in zip(TABLES, sample.planes, strict=False)]
    rounded = [np.round(plane) for plane in unrounded]
    errors = [plane - exact for plane, exact in zip(rounded, unrounded, strict=True)]
    bits, rate_vjp = jpeg_rate_vjp(sample.coefficients(unrounded, steps), huffman=huffman)
    of_rate = -_products(rate_vjp(np.ones_like(bits)), unrounded) / max(float(bits), 1.0)
    axis = None if sample.image.ndim == 2 else -1
    decoded, decode_vjp = jpeg_decode_vjp(sample.coefficients(rounded, steps), ste=True, channel_axis=axis)
    value, cotangent = distortion(sample.image, decoded)
    of_distortion = _products(decode_vjp(cotangent).coefficients, errors) / max(value, 1e-12)
    return np.where(raw == steps, of_rate, 0), np.where(raw == steps, of_distortion, 0)


def _products(cotangents: Coefficients | None, factors: list[Floats]) -> Floats:
    """Sums over the blocks of luma, and over those of chroma."""
    assert cotangents is not None
    found = np.zeros((2, 8, 8))
    for table, cotangent, factor in zip(TABLES, _planes(cotangents), factors, strict=False):
        found[table] += np.sum(cotangent * factor, axis=(0, 1))
    return found


def _pairs(images: int, qualities: int, seed: int) -> Iterator[tuple[int, int]]:
    """All pairs in random order, again and again."""
    generator = np.random.default_rng(seed)
    while True:
        yield from (divmod(int(n), qualities) for n in generator.permutation(images * qualities))


def _scale(quality: float) -> float:
    """What a quality multiplies tables by."""
    return 50 / quality if quality < 50 else 2 - quality / 50


# --- arguments --------------------------------------------------------------------------------------------------------


def _begin(start: tuple[ArrayLike, ArrayLike]) -> Learning:
    tables = []
    for table in start:
        values = np.asarray(table, np.float64)
        if values.shape != (8, 8) or not np.all((values >= 1) & (values <= LARGEST)):
            raise ValueError(f"start must be two tables of shape (8, 8) with entries in 1..255, got {values}")
        tables.append(values)
    if len(tables) != 2:
        raise ValueError(f"start must be two tables, of luma and chroma, got {len(tables)}")
    zeros = np.zeros((2, 8, 8))
    return Learning(0, np.log(np.stack(tables)), zeros, zeros, zeros)


def _images(images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    found = [np.asarray(image) for image in images]
    if not found:
        raise ValueError("images must hold at least one image, got none")
    for image in found:
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or not image.size:
            raise ValueError(f"images must be uint8 of shape (H, W, 3) or (H, W), got {image.dtype} {image.shape}")
    return found


def _qualities(quality: float | Sequence[float]) -> list[float]:
    found = [float(value) for value in np.ravel(quality)]
    if not found or not all(1 <= value < 100 for value in found):
        raise ValueError(f"quality must be one or several numbers from 1 to below 100, got {quality!r}")
    return found
