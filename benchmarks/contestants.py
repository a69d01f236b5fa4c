"""Who takes part, at which sizes, and what its ratio should be at most."""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks import calls
from benchmarks.calls import COLOR, TABLES, Build
from benchmarks.photos import Size

ONE, MANY, MIDDLE, LARGE = SIZES = (Size(1, 64), Size(64, 64), Size(1, 512), Size(1, 2048))
SECTIONS = ((ONE,), (MIDDLE, MANY), (LARGE,))
"""The sizes of a section are measured in the same rounds."""

Targets = Mapping[Size, float | None]
BOTH: Targets = {MIDDLE: None, LARGE: None}
ALL: Targets = dict.fromkeys(SIZES)


class Contestant(NamedTuple):
    """What is measured; its ratio is that over Pillow's time for the same images in the same rounds."""

    name: str
    build: Build
    at: Targets = {}  # noqa: RUF012, never written to
    """The sizes at which it is timed, and the largest ratio to aim at."""
    needs: tuple[str, ...] = ()
    """Modules that must be importable."""
    is_peer: bool = False
    threads: int = 1
    in_memory: bool = False
    """Whether its peak memory is measured."""
    memory: float | None = None
    """The peak to aim at, over the image."""
    slow_start: bool = False
    """Left out of the quick mode."""

    def missing(self) -> list[str]:
        """Modules that are not installed."""
        return [module for module in self.needs if importlib.util.find_spec(module) is None]


class Relation(NamedTuple):
    """A ratio between two contestants in the same rounds; ``per`` is the size of the second if it is another."""

    title: str
    above: str
    below: str
    at: Targets
    per: Size | None = None


TORCH = ("torch",)
KORNIA = ("torch", "kornia")
DIFF_JPEG = (*KORNIA, "diff_jpeg")

PILLOW = "Pillow"
STE = "NumPy STE"
VJP = "NumPy STE + VJP"
BACKWARD = "torch STE + backward"


def _contestants() -> list[Contestant]:
    ste, smooth = calls.forward(ste=True), calls.forward()
    sine, libjpeg = calls.forward(rounding="sine"), calls.forward(arithmetic="libjpeg")
    gradients, with_color = calls.vjp(TABLES, ste=True), calls.vjp(COLOR, ste=True)
    reused = calls.vjp(TABLES, own_cotangent=False, ste=True)
    kornia = {back: calls.tensors(calls.kornia, back, white=1.0) for back in (False, True)}
    diff_jpeg = {back: calls.tensors(calls.diff_jpeg, back) for back in (False, True)}
    eager = {back: calls.tensors(calls.eager, back) for back in (False, True)}
    compiled = {back: calls.tensors(calls.compiled, back) for back in (False, True)}
    forward_at: Targets = {**ALL, MIDDLE: 0.4, LARGE: 0.4}
    vjp_at: Targets = {ONE: 0.7, MANY: None, MIDDLE: 0.75, LARGE: 1.0}
    backward_at: Targets = {ONE: 1.5, MANY: None, MIDDLE: 0.95, LARGE: 1.2}
    return [
        Contestant(PILLOW, calls.pillow, ALL, is_peer=True),
        Contestant("plain copy", calls.copy, ALL, is_peer=True),
        Contestant("simplejpeg", calls.simplejpeg, ALL, ("simplejpeg",), is_peer=True),
        Contestant(STE, ste, forward_at, in_memory=True),
        Contestant("NumPy STE, uint8 HWC", calls.forward(ste=True, channel_axis=-1), {MIDDLE: 0.4, LARGE: 0.4}),
        Contestant("NumPy STE, two threads", ste, {LARGE: None}, threads=2),
        Contestant("NumPy STE, encode, decode", calls.in_two_steps, BOTH),
        Contestant("NumPy smooth", smooth, BOTH),
        Contestant("NumPy smooth, sine", sine, BOTH),
        Contestant("NumPy libjpeg", libjpeg, BOTH),
        Contestant("torch STE", eager[False], BOTH, TORCH, in_memory=True),
        Contestant("torch STE compiled", compiled[False], BOTH, TORCH, slow_start=True),
        Contestant("kornia", kornia[False], BOTH, KORNIA, is_peer=True, in_memory=True),
        Contestant("Diff-JPEG", diff_jpeg[False], BOTH, DIFF_JPEG, is_peer=True, in_memory=True),
        Contestant(VJP, gradients, vjp_at, memory=5.0, in_memory=True),
        Contestant("NumPy STE + VJP of its output", reused, memory=4.0, in_memory=True),
        Contestant("NumPy STE + VJP, color too", with_color, {MIDDLE: 1.0, LARGE: 1.3}, in_memory=True),
        Contestant("NumPy STE + VJP, two threads", gradients, {LARGE: None}, threads=2),
        Contestant(BACKWARD, eager[True], backward_at, TORCH, in_memory=True),
        Contestant("torch STE compiled + backward", compiled[True], BOTH, TORCH, slow_start=True),
        Contestant("kornia + backward", kornia[True], BOTH, KORNIA, is_peer=True, in_memory=True),
        Contestant("Diff-JPEG + backward", diff_jpeg[True], BOTH, DIFF_JPEG, is_peer=True, in_memory=True),
    ]


CONTESTANTS = {contestant.name: contestant for contestant in _contestants()}

RELATIONS = (
    Relation("libjpeg arithmetic over float", "NumPy libjpeg", STE, {MIDDLE: 1.2, LARGE: 1.2}),
    Relation("smooth over STE", "NumPy smooth", STE, {MIDDLE: 1.2, LARGE: 1.2}),
    Relation("sine over cubic", "NumPy smooth, sine", "NumPy smooth", {MIDDLE: 2.0, LARGE: 2.0}),
    Relation("encode, decode over both in one", "NumPy STE, encode, decode", STE, {MIDDLE: 1.5, LARGE: 1.5}),
    Relation("two threads over one", "NumPy STE, two threads", STE, {LARGE: 0.6}),
    Relation("two threads over one, VJP", "NumPy STE + VJP, two threads", VJP, {LARGE: 0.6}),
    *(Relation(f"{name}, over {MIDDLE.label}", name, name, {MANY: 1.2}, MIDDLE) for name in (STE, VJP, BACKWARD)),
)


def choose(substrings: Sequence[str] = (), quick: bool = False) -> list[Contestant]:
    """The contestants whose names contain any of the substrings, and always Pillow."""
    parts = [substring.lower() for substring in substrings]
    return [
        contestant
        for name, contestant in CONTESTANTS.items()
        if name == PILLOW
        or (not (quick and contestant.slow_start) and (not parts or any(part in name.lower() for part in parts)))
    ]
