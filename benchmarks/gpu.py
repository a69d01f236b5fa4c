"""How near differentiable JPEG on a GPU comes to a mere copy: ``python -m benchmarks.gpu``.

A float32 pixel has 12 bytes. Forward cannot but read and write it, 24 bytes; forward and backward do so twice, 48.
Times are given over what moving those takes, at the bandwidth that copying the batch reaches in the same run; peak
memory over the size of the batch, which is part of it. Aimed at are 2, 2.5 and 6. No GPU has run this yet.
"""

import argparse
import importlib.util
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmarks import gpu_contestants
from benchmarks.calls import QUALITY, SUBSAMPLING, Build, Call, describe
from benchmarks.contestants import BACKWARD, FORWARD, GROUPS, Contestant
from benchmarks.environment import environment, header
from benchmarks.photos import Batch, Size, batch
from benchmarks.progress import progress
from benchmarks.results import write_whole
from benchmarks.table import columns

FORMAT = "pyjpegdiff-gpu-benchmarks 1"
DEFAULT_JSON = Path("build/bench/gpu.json")
BATCHES = {size.name: size for size in (Size("512", 64, 512), Size("2048", 8, 2048))}
BYTES = {FORWARD: 24, BACKWARD: 48}
"""To be moved a pixel, at least."""
AIMS = {FORWARD: 2.0, BACKWARD: 2.5}
"""Times over what that takes."""
MEMORY_AIM = 6.0
WARM_UP = 3


class Gauge(Protocol):
    """What tells time and memory of a device."""

    def described(self) -> dict[str, Any]:
        """The device, for the report."""

    def copying(self, images: Batch) -> Call:
        """A call that copies the batch on the device."""

    def seconds(self, call: Call) -> float:
        """How long the device was at work on a call."""

    def peak(self, build: Build, images: Batch) -> int:
        """The most bytes that were in use at once, input included."""


def run(sizes: Sequence[Size], contestants: Sequence[Contestant], gauge: Gauge, repeat: int) -> dict[str, Any]:
    """Measure."""
    missing = {c.name: "not installed: " + ", ".join(c.missing()) for c in contestants if c.missing()}
    present = [contestant for contestant in contestants if contestant.name not in missing]
    return {
        "format": FORMAT,
        "environment": environment(),
        "device": gauge.described(),
        "quality": QUALITY,
        "subsampling": SUBSAMPLING,
        "aims": {**AIMS, "memory": MEMORY_AIM},
        "missing": missing,
        "sizes": {size.name: run_size(size, present, gauge, repeat) for size in sizes},
    }


def run_size(size: Size, contestants: Sequence[Contestant], gauge: Gauge, repeat: int) -> dict[str, Any]:
    """Measure at one size; the copy is measured before and after, and the faster counts."""
    images = batch(size)
    progress(f"{size.label}: copy")
    before = median(gauge, gauge.copying(images), repeat)
    measured: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for contestant in contestants:
        progress(f"{size.label}: {contestant.name}")
        try:
            seconds = median(gauge, contestant.build(images), repeat)
            peak = gauge.peak(contestant.build, images)
        except Exception as error:  # whatever one contestant does, the others go on
            failed[contestant.name] = describe(error)
        else:
            measured[contestant.name] = {"group": contestant.group, "seconds": seconds, "peak": peak / images.nbytes}
    bandwidth = 2 * images.nbytes / min(before, median(gauge, gauge.copying(images), repeat))
    for result in measured.values():
        result["ratio"] = result["seconds"] * bandwidth / (BYTES[result["group"]] * size.pixels)
    return {"label": size.label, "pixels": size.pixels, "bandwidth": bandwidth, "measured": measured, "failed": failed}


def median(gauge: Gauge, call: Call, repeat: int) -> float:
    """Seconds, once compilers and caches have warmed up."""
    for _ in range(WARM_UP):
        call()
    return statistics.median(gauge.seconds(call) for _ in range(repeat))


def render(report: dict[str, Any]) -> str:
    """All of it, for the terminal."""
    parts = [header(report["environment"]), ", ".join(f"{name} {value}" for name, value in report["device"].items())]
    for size in report["sizes"].values():
        rows = [
            [f"  {name}", f"{1e3 * found['seconds']:.3f}", f"{found['ratio']:.2f}", f"{found['peak']:.1f}"]
            for group in GROUPS
            for name, found in size["measured"].items()
            if found["group"] == group
        ]
        lines = columns([[size["label"], "ms", "x moving", "memory"]], rows)
        lines += [f"  {name} FAILED: {reason}" for name, reason in size["failed"].items()]
        parts.append("\n".join([*lines, f"  copying the batch: {1e-12 * size['bandwidth']:.2f} TB/s"]))
    aims = report["aims"]
    parts.append(
        f"aimed at: forward {aims[FORWARD]:g} times moving 24 bytes a pixel, with backward {aims[BACKWARD]:g} times "
        f"moving 48, memory {aims['memory']:g} times the batch"
    )
    parts += [f"{name}: {reason}" for name, reason in report["missing"].items()]
    return "\n\n".join(parts)


def find_gauge() -> Gauge | str:
    """What measures here, or why nothing does."""
    reasons = []
    for module, gauge in (("cupy", gpu_contestants.CuPyGauge), ("torch", gpu_contestants.TorchGauge)):
        if importlib.util.find_spec(module) is None:
            reasons.append(f"{module} is not installed")
        elif (reason := gauge.missing()) is not None:
            reasons.append(reason)
        else:
            return gauge()
    return "; ".join(reasons)


def main(given: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 2 where there is no GPU to measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=BATCHES, default=list(BATCHES), help="default: all")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="contestants whose name contains one")
    parser.add_argument("--repeat", type=int, default=20, metavar="N", help="calls measured (default: %(default)s)")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, metavar="FILE", help="default: %(default)s")
    options = parser.parse_args(given)
    if options.repeat < 1:
        parser.error(f"--repeat must be at least 1, got {options.repeat}")
    wanted = [text.lower() for text in options.only]
    chosen = [c for c in gpu_contestants.CONTESTANTS if not wanted or any(text in c.name.lower() for text in wanted)]
    if not chosen:
        parser.error(
            f"--only {' '.join(options.only)} fits none of: {', '.join(c.name for c in gpu_contestants.CONTESTANTS)}"
        )
    gauge = find_gauge()
    if isinstance(gauge, str):
        print(f"nothing measured, for there is no GPU to measure: {gauge}", file=sys.stderr)
        return 2
    report = run([BATCHES[name] for name in options.sizes], chosen, gauge, options.repeat)
    text = json.dumps(report, indent=2, allow_nan=False) + "\n"
    write_whole(options.json, lambda partial: partial.write_text(text, encoding="utf-8"))
    print(f"{render(report)}\n\nwritten: {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
