"""Slopes of other losses than the mean squared error: ``python -m evaluation.losses``.

For the squared error the elastic estimate might be right because both speak of squares. Here the loss is the mean
of the absolute error, of its fourth power, of the squared error after a blur, and after a Laplacian.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, laplace

from evaluation.photos import REPORT, load
from evaluation.slopes import AROUND, ESTIMATES, SUBSAMPLINGS, groups_of, of_quality, summary
from pyjpegdiff import diff_jpeg_coding

Floats = NDArray[np.float64]
Loss = tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]
"""The loss of each sample of an error, and the gradient of their sum."""

QUALITIES = (12, 30, 50, 70, 88)


def _blurred(x: Floats) -> Floats:
    return np.asarray(gaussian_filter(x, (1.5, 1.5, 0), mode="constant"))


def _edges(x: Floats) -> Floats:
    return np.asarray(laplace(x, mode="constant", axes=(0, 1)))


def _squared_after(linear: Callable[[Floats], Floats]) -> Loss:
    # Both filters are symmetric, with zeros outside: each is its own adjoint.
    return lambda x: linear(x) ** 2, lambda x: 2 * linear(linear(x))


LOSSES: dict[str, Loss] = {
    "absolute": (abs, np.sign),
    "fourth power": (lambda x: x**4, lambda x: 4 * x**3),
    "blurred": _squared_after(_blurred),
    "edges": _squared_after(_edges),
}


def main() -> None:
    """Run as a script."""
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for name in REPORT:
        image = load(name).astype(np.float64)
        for subsampling in SUBSAMPLINGS:
            for quality in QUALITIES:
                errors = [
                    diff_jpeg_coding(
                        image, quality + int(d), arithmetic="libjpeg", subsampling=subsampling, channel_axis=-1
                    )
                    - image
                    for d in AROUND
                ]
                for loss, (value, gradient) in LOSSES.items():
                    true = np.polyfit(AROUND, [float(np.mean(value(error))) for error in errors], 1)[0]
                    groups = groups_of(image, quality, subsampling, gradient)
                    found = {key: of_quality(groups, list(map(of, groups)), quality) for key, of in ESTIMATES.items()}
                    rows.setdefault((loss, subsampling), []).append({"true": float(true), **found})
    for (loss, subsampling), mine in rows.items():
        for key, row in summary(mine).items():
            print(
                f"{loss} | {subsampling} | {key} | {row['right signs']:.1%} of {row['count']} | "
                f"{row['median ratio']:.2f} | {row['median error']:.1%}"
            )


if __name__ == "__main__":
    main()
