"""The speed of differentiable JPEG on a GPU, compared with a plain copy: ``python -m benchmarks.gpu``.

A float32 pixel has 12 bytes. Forward must at least read and write it, 24 bytes; forward and backward do so twice, 48.
Times are divided by the time for moving these bytes, at the bandwidth of a copy of the batch in the same run. Peak
memory includes the batch, and is divided by its size. The goals are 2 for forward, 2.5 with backward, and 6 for memory.
No GPU has run this yet.
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
"""The fewest bytes to move per pixel."""
AIMS = {FORWARD: 2.0, BACKWARD: 2.5}
"""Goals for the time, divided by the time for moving these bytes."""
MEMORY_AIM = 6.0
WARM_UP = 3


class Gauge(Protocol):
    """Measures time and memory on a device."""

    def described(self) -> dict[str, Any]:
        """The description of the device in the report."""

    def copying(self, images: Batch) -> Call:
        """A call that copies the batch on the device."""

    def seconds(self, call: Call) -> float:
        """The seconds that the device worked on a call."""

    def peak(self, build: Build, images: Batch) -> int:
        """The most bytes in use at one time, with the input."""


def run(sizes: Sequence[Size], contestants: Sequence[Contestant], gauge: Gauge, repeat: int) -> dict[str, Any]:
    """Measure all contestants at all sizes."""
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
    """Measure at one size; the copy is measured before and after, and the faster one is used."""
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
        except Exception as error:  # the others continue, whatever error one contestant raises
            failed[contestant.name] = describe(error)
        else:
            measured[contestant.name] = {"group": contestant.group, "seconds": seconds, "peak": peak / images.nbytes}
    bandwidth = 2 * images.nbytes / min(before, median(gauge, gauge.copying(images), repeat))
    for result in measured.values():
        result["ratio"] = result["seconds"] * bandwidth / (BYTES[result["group"]] * size.pixels)
    return {"label": size.label, "pixels": size.pixels, "bandwidth": bandwidth, "measured": measured, "failed": failed}


def median(gauge: Gauge, call: Call, repeat: int) -> float:
    """Median of the seconds, after warm-up calls for compilers and caches."""
    for _ in range(WARM_UP):
        call()
    return statistics.median(gauge.seconds(call) for _ in range(repeat))


def render(report: dict[str, Any]) -> str:
    """The report as text."""
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
        f"goals: forward {aims[FORWARD]:g} times moving 24 bytes per pixel, with backward {aims[BACKWARD]:g} times "
        f"moving 48, memory {aims['memory']:g} times the batch"
    )
    parts += [f"{name}: {reason}" for name, reason in report["missing"].items()]
    return "\n\n".join(parts)


def find_gauge() -> Gauge | str:
    """A gauge for this machine, or the reason why there is none."""
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
    """Exit status: 0, or 2 if there is no GPU to measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=BATCHES, default=list(BATCHES), help="default: all")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="contestants whose name contains one")
    parser.add_argument("--repeat", type=int, default=20, metavar="N", help="calls measured (default: %(default)s)")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, metavar="FILE", help="default: %(default)s")
    options = parser.parse_args(given)
    if options.repeat < 1:
        parser.error(f"--repeat must be at least 1, got {options.repeat}")
    parts = [text.lower() for text in options.only]
    chosen = [c for c in gpu_contestants.CONTESTANTS if not parts or any(part in c.name.lower() for part in parts)]
    if not chosen:
        parser.error(
            f"--only {' '.join(options.only)} matches none of: {', '.join(c.name for c in gpu_contestants.CONTESTANTS)}"
        )
    gauge = find_gauge()
    if isinstance(gauge, str):
        print(f"nothing was measured, because there is no GPU to measure: {gauge}", file=sys.stderr)
        return 2
    report = run([BATCHES[name] for name in options.sizes], chosen, gauge, options.repeat)
    text = json.dumps(report, indent=2, allow_nan=False) + "\n"
    write_whole(options.json, lambda partial: partial.write_text(text, encoding="utf-8"))
    print(f"{render(report)}\n\nwritten: {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
