"""The contestants: a name for each, and a function that builds a call without arguments for a given batch."""

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks import ours, peers
from benchmarks.calls import Build

FORWARD = "forward"
BACKWARD = "forward + backward"
GROUPS = (FORWARD, BACKWARD)


@dataclass(frozen=True)
class Contestant:
    """One bar of the plot."""

    name: str
    group: str
    build: Build
    needs: tuple[str, ...] = ()
    """Modules that must be importable."""
    is_peer: bool = False
    takes_huge: bool = False
    """Whether it takes part at the largest size, where most contestants need minutes or too much memory."""

    def missing(self) -> list[str]:
        """Modules that are not installed."""
        return [module for module in self.needs if importlib.util.find_spec(module) is None]


IMAGE = ("image_rgb",)
TABLES = (*IMAGE, "jpeg_quality", "quantization_table_y", "quantization_table_c")
COLOR = (*TABLES, "color_matrix", "color_offset")

TORCH = ("torch",)
KORNIA = (*TORCH, "kornia")
DIFF_JPEG = (*KORNIA, "diff_jpeg")

PILLOW = Contestant("Pillow", FORWARD, peers.pillow, is_peer=True, takes_huge=True)
"""The baseline: all others are compared with it."""

# "backward" always computes the gradients with respect to image, quality and tables.
CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        PILLOW,
        Contestant("NumPy smooth", FORWARD, ours.forward()),
        Contestant("NumPy STE", FORWARD, ours.forward(ste=True), takes_huge=True),
        Contestant("NumPy libjpeg", FORWARD, ours.forward(arithmetic="libjpeg")),
        Contestant("torch STE", FORWARD, ours.torch_forward(), TORCH),
        Contestant("torch STE compiled", FORWARD, ours.torch_forward(compiled=True), TORCH),
        Contestant("kornia", FORWARD, peers.kornia_forward(), KORNIA, is_peer=True),
        Contestant("Diff-JPEG", FORWARD, peers.diff_jpeg_forward(), DIFF_JPEG, is_peer=True),
        Contestant("NumPy STE + VJP (image)", BACKWARD, ours.vjp(IMAGE), takes_huge=True),
        Contestant("NumPy STE + VJP (image, quality, tables)", BACKWARD, ours.vjp(TABLES)),
        Contestant("NumPy STE + VJP (all, color too)", BACKWARD, ours.vjp(COLOR)),
        Contestant("torch STE + backward", BACKWARD, ours.torch_backward(), TORCH),
        Contestant("torch STE compiled + backward", BACKWARD, ours.torch_backward(compiled=True), TORCH),
        Contestant("kornia + backward", BACKWARD, peers.kornia_backward(), KORNIA, is_peer=True),
        Contestant("Diff-JPEG + backward", BACKWARD, peers.diff_jpeg_backward(), DIFF_JPEG, is_peer=True),
    )
}


def choose(substrings: Iterable[str] = ()) -> list[Contestant]:
    """The contestants whose names contain any of the substrings, and always Pillow."""
    parts = [substring.lower() for substring in substrings]
    return [
        contestant
        for name, contestant in CONTESTANTS.items()
        if contestant is PILLOW or not parts or any(part in name.lower() for part in parts)
    ]
