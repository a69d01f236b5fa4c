"""The HTML report of a study: one page that contains its images and needs no other file."""

import base64
import functools
import math
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

import pyjpegdiff
from pyjpegdiff.study.maps import FrequencyMap, hexadecimal, labels
from pyjpegdiff.study.measurement import Measurement
from pyjpegdiff.study.pictures import WorstBlock
from pyjpegdiff.study.plots import curve_svg, in_dark, legend
from pyjpegdiff.study.settings import Settings
from pyjpegdiff.study.summary import BITS, CURVES, Curves, bits, summary, tiny
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE

BIT_COLORS = ("#4e79a7", "#a0cbe8", "#f28e2b", "#ffbe7d")
"""Of DC and of AC, dark and light, for luma and for chroma."""


def report(
    images: Sequence[dict[str, Any]],
    curves: Curves,
    maps: Sequence[FrequencyMap],
    map_qualities: Sequence[int],
    failures: Sequence[tuple[str, str]],
    settings: Settings,
) -> bytes:
    """The page, in HTML.

    Each of ``images`` has ``name``, ``size`` (width, height), ``note``, ``measurements`` and ``pictures``; ``pictures``
    is None for images that are not shown.
    """
    page = _environment().get_template("report.html.jinja").render(
        images=images,
        shown=sorted(filter(itemgetter("pictures"), images), key=lambda image: at_worst(image).psnr),
        summary=summary(curves),
        parts=list(zip(BITS, BITS.values(), BIT_COLORS, strict=True)),
        bits=bits(curves),
        tiny=sum(map(tiny, curves.values())),
        figures=[
            {"label": label, "light": (light := curve_svg(measure, curves)), "dark": in_dark(light)}
            for measure, label in CURVES.items()
        ],
        legend=legend(curves),
        maps=[(shown, shown.colors(), scale_colors(shown)) for shown in maps],
        map_qualities=map_qualities,
        failures=failures,
        settings=settings,
        standard_tables=(settings.luma, settings.chroma) == (LUMINANCE, CHROMINANCE),
        version=pyjpegdiff.__version__,
    )  # fmt: skip
    return page.encode()


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pyjpegdiff.study", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {show.__name__: show for show in (uri, number, significant, kilobytes, outline)}
    environment.globals["at"] = at
    return environment


def scale_colors(shown: FrequencyMap) -> tuple[str, str, list[str]]:
    """Lowest and highest value of the color scale of a map, and the colors between them."""
    low, high = labels(shown.ends())
    return low, high, hexadecimal(shown.scale(), np.geomspace(*shown.ends(), 9)).tolist()


def uri(content: bytes, kind: str = "image/png") -> str:
    """A file as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def number(value: float, digits: int = 2) -> str:
    """The value as text: ``∞`` for infinite and ``-`` for missing values."""
    return "-" if math.isnan(value) else "∞" if math.isinf(value) else f"{value:.{digits}f}"


def significant(value: float) -> str:
    """The value as text, with three digits that count where that takes at most three decimals."""
    if value == 0 or not math.isfinite(value):
        return number(value, 0)
    return number(value, min(3, max(0, 2 - math.floor(math.log10(abs(value))))))


def kilobytes(size: int) -> str:
    """The size in kilobytes, with its unit."""
    return f"{size / 1000:,.1f} kB"


def outline(found: WorstBlock) -> str:
    """The position of the block in its surroundings, in CSS."""
    block, around = found.block, found.around
    sides = {
        "left": (block.left - around.left) / around.width,
        "top": (block.top - around.top) / around.height,
        "width": block.width / around.width,
        "height": block.height / around.height,
    }
    return ";".join(f"{side}:{share:.2%}" for side, share in sides.items())


def at_worst(image: dict[str, Any]) -> Measurement:
    """The measurement of a shown image at the quality of its worst blocks."""
    return at(image["measurements"], image["pictures"].worst_quality)


def at(measurements: Sequence[Measurement], quality: int) -> Measurement:
    """The measurement at a quality."""
    return next(m for m in measurements if m.quality == quality)
