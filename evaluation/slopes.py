r"""Gradients of quality and tables beside the slopes of the real codec: ``python -m evaluation.slopes``.

The loss is the mean squared error. The true slope with respect to quality is that of a line through the errors at seven
qualities, in libjpeg arithmetic; that with respect to a step, of a line through those at up to seven steps. An
estimate of the gradient with respect to a step size Q is, with u the coefficients in units of the step, k the whole
ones, :math:`\varepsilon = k - u` and G the cotangent of the reconstructed coefficients,

- of a surrogate r: :math:`\sum G (k - u r'(u))`;
- *exact to K*: :math:`r' = 0` where :math:`|k| \le K`, else 1;
- *elastic*: :math:`\rho \sum G \varepsilon`, where :math:`\rho` is half the slope of the log of
  :math:`D(Q) = Q^2 \sum \varepsilon^2` over log Q, by a central difference over a quarter of Q, within 1/20..1: the
  default of the package where it performs a rounding, see `pyjpegdiff.stages.elastic`.

The last one holds where the error of rounding changes its size with the step, but G is not correlated with how it
jumps. So that part of G which no step can mend meets only :math:`\varepsilon`, whose mean is near zero, and never k.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from evaluation.photos import CHOOSE, REPORT, load
from evaluation.rows import versions, write_result
from pyjpegdiff import diff_jpeg_coding, jpeg_decode_vjp, jpeg_encode, jpeg_encode_vjp
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.stages import rational
from pyjpegdiff.stages.elastic import LEAST, REACH
from pyjpegdiff.stages.quantization import scale
from pyjpegdiff.stages.surrogates import ROUNDINGS
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE
from pyjpegdiff.types import Array

Floats = NDArray[np.float64]

QUALITIES = (8, 12, 20, 30, 40, 50, 60, 70, 80, 88, 94)
AROUND = np.arange(-3, 4)
TABLE_QUALITIES = (20, 50, 80)
ENTRIES = ((0, 0), (0, 3), (0, 6), (1, 2), (1, 5), (2, 1), (2, 4), (3, 0), (3, 3), (4, 2), (5, 1))
NOISE = 3
"""A slope is within noise below so many of its own standard errors."""
SUBSAMPLINGS = ("4:4:4", "4:2:0")
RESULT = Path(__file__).parent / "results" / "slopes.json"


class Group(NamedTuple):
    """Luma, or both planes of chroma: blocks (..., 8, 8) of u, k and G, and the step sizes."""

    u: Floats
    k: Floats
    g: Floats
    steps: Floats


Estimate = Callable[[Group], Floats]
"""The cotangent of the step sizes, (8, 8)."""


def _sum(blocks: Floats) -> Floats:
    return blocks.reshape(-1, 8, 8).sum(axis=0)


def surrogate(derivative: Callable[[Floats], Floats]) -> Estimate:
    """That of a rounding surrogate with this derivative."""
    return lambda group: _sum(group.g * (group.k - group.u * derivative(group.u)))


def _derivative(name: str) -> Callable[[Any], Any]:
    return lambda u: ROUNDINGS[name].derivative(xp, u)


def exact_to(most: float) -> Estimate:
    """With whole coefficients up to ``most`` held fixed."""
    return lambda group: _sum(group.g * np.where(abs(group.k) <= most, group.k, group.k - group.u))


def elastic(group: Group, delta: float = REACH) -> Floats:
    """The identity's, times the elasticity of the error of rounding."""

    def distortion(factor: float) -> Floats:
        return (factor * np.round(group.u / factor) - group.u) ** 2

    error = group.k - group.u
    slope = _sum(distortion(1 + delta) - distortion(1 - delta)) / (4 * delta)
    rho = np.clip(slope / np.maximum(_sum(error**2), 1e-12), LEAST, 1)
    return _sum(group.g * error) * rho


def _rational(group: Group) -> Floats:
    u, softness = cast(Array, group.u), cast(Array, rational.SOFTNESS / group.steps)
    fall = u * rational.derivative(xp, u, softness) + rational.elongation(xp, u, softness)
    return _sum(group.g * (group.k - np.asarray(fall)))


ESTIMATES: dict[str, Estimate] = {
    "rational": _rational,
    "cubic": surrogate(lambda u: 3 * (u - np.round(u)) ** 2),
    "identity": surrogate(np.ones_like),
    **{name: surrogate(_derivative(name)) for name in ("sine", "tanh", "fourier")},
    "exact to 0": exact_to(0),
    "exact to 1": exact_to(1),
    "exact to 2": exact_to(2),
    "step held fixed": exact_to(np.inf),
    "elastic": elastic,
}


def _of_squares(error: Floats) -> Floats:
    return 2 * error


def groups_of(
    image: Floats, quality: int, subsampling: str, gradient: Callable[[Floats], Floats] = _of_squares
) -> tuple[Group, Group]:
    """What the estimates need, of the real codec at a quality; ``gradient`` is that of the sum of losses."""
    choices: dict[str, Any] = {"channel_axis": -1, "subsampling": subsampling}
    stored, _ = jpeg_encode_vjp(image, quality, arithmetic="libjpeg", wrt="jpeg_quality", **choices)
    assert stored.steps_c is not None
    # At quality 50 tables are steps.
    whole = jpeg_encode(image, 50, stored.steps_y, stored.steps_c, rounding="identity", **choices)
    decoded, vjp = jpeg_decode_vjp(stored, arithmetic="libjpeg", channel_axis=-1)
    g = vjp(gradient(decoded - image) / image.size).coefficients
    assert g is not None
    u, k, g_chroma = (np.stack([x.cb, x.cr]) for x in (whole, stored, g))  # type: ignore[list-item]
    return (
        Group(whole.y, stored.y, g.y / stored.steps_y, stored.steps_y),
        Group(u, k, g_chroma / stored.steps_c, stored.steps_c),
    )


def of_quality(groups: tuple[Group, Group], g_steps: list[Floats], quality: int) -> float:
    """The cotangent of quality from those of the steps, through floors with the derivative of the identity."""
    _, slope = scale(np, np.float64(quality), "identity", True)  # type: ignore[arg-type]
    total = 0.0
    for table, group, g in zip((LUMINANCE, CHROMINANCE), groups, g_steps, strict=True):
        total += float(np.sum(np.where(group.steps < 255, g * np.asarray(table), 0)) * slope / 100)
    return total


def _error(
    image: Floats, subsampling: str, quality: int, table_y: Floats | None = None, table_c: Floats | None = None
) -> float:
    result = diff_jpeg_coding(
        image, quality, table_y, table_c, arithmetic="libjpeg", subsampling=subsampling, channel_axis=-1
    )
    return float(np.mean((result - image) ** 2))


def quality_slopes(name: str) -> Iterator[dict[str, Any]]:
    """True slope and estimates, for each quality."""
    image = load(name).astype(np.float64)
    for subsampling in SUBSAMPLINGS:
        wanted = sorted({quality + int(d) for quality in QUALITIES for d in AROUND})
        errors = {quality: _error(image, subsampling, quality) for quality in wanted}
        for quality in QUALITIES:
            groups = groups_of(image, quality, subsampling)
            true = np.polyfit(AROUND, [errors[quality + int(d)] for d in AROUND], 1)[0]
            yield {
                "photo": name, "subsampling": subsampling, "quality": quality, "true": float(true),
                **{key: of_quality(groups, list(map(of, groups)), quality) for key, of in ESTIMATES.items()},
            }  # fmt: skip


def table_slopes(name: str) -> Iterator[dict[str, Any]]:
    """True slope, its standard error and estimates, for some steps."""
    image = load(name).astype(np.float64)
    for subsampling in SUBSAMPLINGS:
        for quality in TABLE_QUALITIES:
            groups = groups_of(image, quality, subsampling)
            found = {key: list(map(of, groups)) for key, of in ESTIMATES.items()}
            for component, group in enumerate(groups):
                for at in ENTRIES:
                    step = group.steps[at]
                    reach = max(2, round(0.12 * step))
                    around = np.unique(np.round(np.linspace(max(1, step - reach), min(255, step + reach), 7)))
                    errors = []
                    for other in around:
                        tables = [g.steps.copy() for g in groups]
                        tables[component][at] = other
                        errors.append(_error(image, subsampling, 50, tables[0], tables[1]))
                    true, deviation = _line(np.asarray(around, np.float64), np.array(errors))
                    yield {
                        "photo": name, "subsampling": subsampling, "quality": quality, "entry": list(at),
                        "component": ("luma", "chroma")[component], "true": true, "standard error": deviation,
                        **{key: float(g[component][at]) for key, g in found.items()},
                    }  # fmt: skip


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    x, y = x - x.mean(), y - y.mean()
    slope = (x @ y) / (x @ x)
    return float(slope), float(np.sqrt(np.sum((y - slope * x) ** 2) / (len(x) - 2) / (x @ x)))


def summary(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Of each estimate: the share of right signs, the median ratio to the true slope, the median error."""
    found = {}
    for key in ESTIMATES:
        ratio = np.array([row[key] / row["true"] for row in rows])
        found[key] = {
            "count": len(ratio), "right signs": float(np.mean(ratio > 0)), "median ratio": float(np.median(ratio)),
            "median error": float(np.median(abs(ratio - 1))),
        }  # fmt: skip
    return found


def main() -> None:
    """Run as a script."""
    report: dict[str, Any] = {
        "command": "python -m evaluation.slopes",
        "versions": versions("numpy"),
    }
    for half, names in (("choose", CHOOSE), ("report", REPORT)):
        of_quality_, of_tables = [], []
        for name in names:
            print(f"{half}: {name}", file=sys.stderr)
            of_quality_ += list(quality_slopes(name))
            of_tables += [row for row in table_slopes(name) if abs(row["true"]) > NOISE * row["standard error"]]
        report[half] = {"photos": list(names)}
        for subsampling in SUBSAMPLINGS:
            mine = [row for row in of_quality_ if row["subsampling"] == subsampling]
            report[half][f"quality, {subsampling}"] = summary(mine)
            for component in ("luma", "chroma"):
                entries = [
                    row for row in of_tables if (row["subsampling"], row["component"]) == (subsampling, component)
                ]
                report[half][f"{component} table, {subsampling}"] = summary(entries)
    write_result(RESULT, report)
    for half in ("choose", "report"):
        for kind, by_estimate in report[half].items():
            for key, row in by_estimate.items() if isinstance(by_estimate, dict) else ():
                print(
                    f"{half} | {kind} | {key} | {row['right signs']:.1%} of {row['count']} | "
                    f"{row['median ratio']:.2f} | {row['median error']:.1%}"
                )


if __name__ == "__main__":
    main()
