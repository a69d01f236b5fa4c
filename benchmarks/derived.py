"""Figures computed from the measured ones: the cost of image size and of exactness."""

from collections.abc import Mapping

from benchmarks.results import SizeReport

MANY_SMALL = "time per pixel, 64 of 64x64 over 512x512"
HUGE = "time per pixel, 8192x8192 over 1024x1024"
EXACT = "time, libjpeg arithmetic over float, NumPy STE forward"


def derive(sizes: Mapping[str, SizeReport]) -> dict[str, dict[str, float]]:
    """Each figure for each contestant or size, if the measurements for it exist."""
    figures = {MANY_SMALL: _by_contestant(sizes, "64", "512"), HUGE: _by_contestant(sizes, "8192", "1024")}
    figures[EXACT] = {
        size["label"]: size["measured"]["NumPy libjpeg"]["ratio"] / size["measured"]["NumPy STE"]["ratio"]
        for size in sizes.values()
        if {"NumPy libjpeg", "NumPy STE"} <= size["measured"].keys()
    }
    return {title: figure for title, figure in figures.items() if figure}


def _by_contestant(sizes: Mapping[str, SizeReport], over: str, under: str) -> dict[str, float]:
    if not {over, under} <= sizes.keys():
        return {}
    above, below = sizes[over]["measured"], sizes[under]["measured"]
    return {
        name: below[name]["megapixels_per_second"] / above[name]["megapixels_per_second"]
        for name in above
        if name in below
    }
