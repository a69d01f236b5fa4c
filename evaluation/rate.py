"""Slopes of bits by `jpeg_rate_vjp`, beside those of the files: ``python -m evaluation.rate``.

With respect to quality: a line through the bits of the files at the qualities around. With respect to an entry of the
luma table: a line through the bits at steps around it, fractions included, which no file has.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.fidelity import NAMES, load
from pyjpegdiff import Coefficients, jpeg_encode, jpeg_encode_vjp, jpeg_rate, jpeg_rate_vjp

Floats = NDArray[np.float64]

QUALITIES = (10, 20, 35, 50, 65, 75, 85, 95)
AROUND = 3
ENTRIES = ((0, 0), (0, 1), (1, 1), (2, 1), (3, 3), (4, 2), (5, 5), (7, 7))
PERCENT = (-10, -8, -6, -4, -2, 0, 2, 4, 6, 8, 10)
SIDE = 384


def main() -> None:
    """Print a line for each setting."""
    for huffman in ("standard", "optimized"):
        for subsampling in ("4:2:0", "4:4:4"):
            by_kind: dict[str, list[tuple[float, float]]] = {}
            for name in NAMES:
                for kind, true, found in _slopes(_crop(load(name)), subsampling, huffman):
                    by_kind.setdefault(kind, []).append((true, found))
            for kind, pairs in by_kind.items():
                _print(f"{huffman}, {subsampling}, {kind}", np.array(pairs))


def _print(what: str, pairs: Floats) -> None:
    true, found = pairs.T
    right = int(np.sum(np.sign(true) == np.sign(found)))
    ratio = found / true
    error = np.quantile(np.abs(ratio - 1), (0.5, 0.9))
    print(
        f"{what}: sign right {right} of {len(true)}, ratio {np.median(ratio):.3f}, "
        f"error {error[0]:.1%}, of nine in ten below {error[1]:.1%}"
    )


def _crop(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    top, left = (max(0, (n - SIDE) // 2) for n in image.shape[:2])
    return np.ascontiguousarray(image[top : top + SIDE, left : left + SIDE])


def _slopes(image: NDArray[np.uint8], subsampling: str, huffman: str) -> Iterator[tuple[str, float, float]]:
    """Kinds of slopes, with what is true and what was found."""
    wrt = ("jpeg_quality", "quantization_table_y")
    choices: dict[str, Any] = {"channel_axis": -1, "subsampling": subsampling}

    def bits(quality: float) -> float:
        return float(jpeg_rate(jpeg_encode(image, quality, arithmetic="libjpeg", **choices), huffman=huffman))

    for quality in QUALITIES:
        stored, encode_vjp = jpeg_encode_vjp(
            image, quality, arithmetic="libjpeg", rounding="identity", steps_gradient="surrogate", wrt=wrt, **choices
        )
        # At quality 50 tables are steps.
        unrounded = jpeg_encode(
            image.astype(np.float64), 50, stored.steps_y, stored.steps_c, rounding="identity", **choices
        )
        one = np.ones(())
        _, vjp = jpeg_rate_vjp(unrounded, huffman=huffman)
        _, vjp_of_stored = jpeg_rate_vjp(stored, huffman=huffman)
        found = encode_vjp(vjp(one))
        around = np.arange(quality - AROUND, quality + AROUND + 1)
        true = float(np.polyfit(around, [bits(int(q)) for q in around], 1)[0])
        yield "quality", true, float(np.asarray(found.jpeg_quality))
        _, elastic_vjp = jpeg_encode_vjp(image, quality, arithmetic="libjpeg", wrt=wrt, **choices)
        yield "quality, elastic steps", true, float(np.asarray(elastic_vjp(vjp(one)).jpeg_quality))
        yield "quality, whole coefficients", true, float(np.asarray(encode_vjp(vjp_of_stored(one)).jpeg_quality))
        if quality in (50, 75):
            of_steps = -np.sum(vjp(one).y * unrounded.y, axis=(0, 1)) / unrounded.steps_y
            for entry in ENTRIES:
                yield "steps of luma", _slope_of_step(unrounded, entry, huffman), float(of_steps[entry])


def _slope_of_step(unrounded: Coefficients, entry: tuple[int, int], huffman: str) -> float:
    scales = 1 + np.array(PERCENT) / 100
    bits = []
    for scale in scales:
        y = unrounded.y.copy()
        y[..., entry[0], entry[1]] /= scale
        bits.append(float(jpeg_rate(unrounded._replace(y=y), huffman=huffman)))
    return float(np.polyfit(scales * unrounded.steps_y[entry], bits, 1)[0])


if __name__ == "__main__":
    main()
