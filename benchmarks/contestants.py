"""Who takes part, at which sizes, and what its ratio should be at most."""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from benchmarks import calls
from benchmarks.calls import JFIF, TABLES, Build, Size

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
    threads: int = 1
    in_memory: bool = False
    """Whether its peak memory is measured."""
    memory: float | None = None
    """The peak to aim at, over the image."""

    def missing(self) -> list[str]:
        """Modules that are not installed."""
        return [module for module in self.needs if importlib.util.find_spec(module) is None]


class Relation(NamedTuple):
    """A ratio between two contestants in the same rounds; ``per`` is the second's size where that is another."""

    title: str
    above: str
    below: str
    at: Targets
    per: Size | None = None


TORCH = ("torch",)
JAX = ("jax",)
KORNIA = ("torch", "kornia")
DIFF_JPEG = (*KORNIA, "diff_jpeg")

PILLOW = "Pillow"
STE = "NumPy STE"
VJP = "NumPy STE + VJP"
BACKWARD = "torch STE + backward"


def _contestants() -> Iterator[Contestant]:
    ste, gradients, tensors = calls.forward(ste=True), calls.vjp(TABLES, ste=True), calls.tensors
    one_copy = calls.vjp(TABLES, own_cotangent=False, ste=True)
    with_color = calls.vjp((*TABLES, *JFIF), ste=True)
    yield Contestant(PILLOW, calls.pillow, ALL)
    yield Contestant("plain copy", lambda images: images.copy, ALL)  # nothing that returns an image can be faster
    yield Contestant("simplejpeg", calls.simplejpeg, ALL, ("simplejpeg",))
    yield Contestant(STE, ste, {**ALL, MIDDLE: 0.4, LARGE: 0.4}, in_memory=True)
    yield Contestant("NumPy STE, uint8 HWC", calls.forward(ste=True, channel_axis=-1), {MIDDLE: 0.4, LARGE: 0.4})
    yield Contestant("NumPy STE, two threads", ste, {LARGE: None}, threads=2)
    yield Contestant("NumPy STE, encode, decode", calls.in_two_steps, BOTH)
    yield Contestant("NumPy smooth", calls.forward(), BOTH)
    yield Contestant("NumPy smooth, sine", calls.forward(rounding="sine"), BOTH)
    yield Contestant("NumPy libjpeg", calls.forward(arithmetic="libjpeg"), BOTH)
    for huffman, optimize in (("standard", False), ("optimized", True)):
        yield Contestant(f"Pillow's encoder, {huffman} tables", calls.pillow_encode(optimize), BOTH)
        yield Contestant(f"NumPy rate, {huffman} tables", calls.rate(huffman), BOTH)
    yield Contestant("NumPy rate + VJP", calls.rate_vjp, BOTH)
    yield Contestant("torch STE", tensors(calls.eager), BOTH, TORCH, in_memory=True)
    yield Contestant("torch STE compiled", tensors(calls.compiled), BOTH, TORCH)
    yield Contestant("JAX STE", calls.jax_arrays(calls.jax_eager), BOTH, JAX)
    yield Contestant("JAX STE jit", calls.jax_arrays(calls.jax_jit), BOTH, JAX)
    yield Contestant("kornia", tensors(calls.kornia, white=1.0), BOTH, KORNIA, in_memory=True)
    yield Contestant("Diff-JPEG", tensors(calls.diff_jpeg), BOTH, DIFF_JPEG, in_memory=True)
    # "VJP" and "backward" always compute the gradients with respect to image, quality and tables.
    yield Contestant(VJP, gradients, {**ALL, ONE: 0.7, MIDDLE: 0.75, LARGE: 1.0}, in_memory=True, memory=5.0)
    yield Contestant("NumPy STE + VJP of its output", one_copy, in_memory=True, memory=4.0)
    yield Contestant("NumPy STE + VJP, color too", with_color, {MIDDLE: 1.0, LARGE: 1.3}, in_memory=True)
    yield Contestant("NumPy STE + VJP, two threads", gradients, {LARGE: None}, threads=2)
    targets = {**ALL, ONE: 1.5, MIDDLE: 0.95, LARGE: 1.2}
    yield Contestant(BACKWARD, tensors(calls.eager, True), targets, TORCH, in_memory=True)
    yield Contestant("torch STE compiled + backward", tensors(calls.compiled, True), BOTH, TORCH)
    yield Contestant("JAX STE jit + backward", calls.jax_arrays(calls.jax_gradients), BOTH, JAX)
    yield Contestant("kornia + backward", tensors(calls.kornia, True, 1.0), BOTH, KORNIA, in_memory=True)
    yield Contestant("Diff-JPEG + backward", tensors(calls.diff_jpeg, True), BOTH, DIFF_JPEG, in_memory=True)


CONTESTANTS = {contestant.name: contestant for contestant in _contestants()}
RELATIONS = (
    Relation("libjpeg arithmetic over float", "NumPy libjpeg", STE, {MIDDLE: 1.2, LARGE: 1.2}),
    Relation("smooth over STE", "NumPy smooth", STE, {MIDDLE: 1.2, LARGE: 1.2}),
    Relation("sine over rational", "NumPy smooth, sine", "NumPy smooth", {MIDDLE: 2.0, LARGE: 2.0}),
    Relation("encode, decode over both in one", "NumPy STE, encode, decode", STE, {MIDDLE: 1.5, LARGE: 1.5}),
    *(
        Relation(
            f"rate over Pillow's encoder, {huffman} tables",
            f"NumPy rate, {huffman} tables",
            f"Pillow's encoder, {huffman} tables",
            {MIDDLE: 0.5, LARGE: 0.5},
        )
        for huffman in ("standard", "optimized")
    ),
    Relation("two threads over one", "NumPy STE, two threads", STE, {LARGE: 0.6}),
    Relation("two threads over one, VJP", "NumPy STE + VJP, two threads", VJP, {LARGE: 0.6}),
    *(Relation(f"{name}, over {MIDDLE.label}", name, name, {MANY: 1.2}, MIDDLE) for name in (STE, VJP, BACKWARD)),
)


def choose(substrings: Sequence[str] = ()) -> list[Contestant]:
    """The contestants whose names contain any of the substrings, and always Pillow."""
    parts = [substring.lower() for substring in substrings] or [""]
    return [c for c in CONTESTANTS.values() if c.name == PILLOW or any(part in c.name.lower() for part in parts)]
