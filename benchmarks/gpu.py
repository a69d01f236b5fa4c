"""The speed of differentiable JPEG on a GPU, compared with a plain copy: ``python -m benchmarks.gpu``.

A float32 pixel has 12 bytes. Forward must at least read and write it, 24 bytes; forward and backward do so twice, 48.
Times are divided by the time for moving these bytes, at the bandwidth of a copy of the batch in the same rounds. Peak
memory is what the libraries take from the device, batch included, divided by the batch. No GPU has run this yet.
"""

import argparse
import gc
import importlib
import importlib.util
import statistics
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import calls
from benchmarks.calls import TABLES, Batch, Build, Call, Size, batch
from benchmarks.contestants import DIFF_JPEG, KORNIA, TORCH, Contestant
from benchmarks.report import Report, Row, describe, new_report, save, show
from benchmarks.suite import interleave, median_ratio
from pyjpegdiff.backends import use_backend

BATCHES = {"512": Size(64, 512), "2048": Size(8, 2048)}
FORWARD, BACKWARD, MEMORY = 2.0, 2.5, 6.0
"""The ratios to aim at: forward, with backward, peak memory."""
COPY = "copy of the batch"
TITLE = "JPEG on a GPU: time over that for moving 24 bytes per pixel, with gradients 48"
WARM_UP = 3


def on(backend: str, build: Build) -> Build:
    """The same contestant, executed by the backend of that name."""
    return lambda images: use_backend(backend)(use_backend(backend)(build)(images))


def _contestants() -> Iterator[Contestant]:
    kernels, array_api = partial(on, "cuda_kernels"), partial(on, "array_api")
    cupy, both = ("cupy",), (*TORCH, "cupy")
    forward, vjp = partial(calls.forward, "cupy"), partial(calls.vjp, TABLES, "cupy")
    yield Contestant("CuPy kernels STE", kernels(forward(ste=True)), needs=cupy)
    yield Contestant("CuPy kernels smooth", kernels(forward()), needs=cupy)
    yield Contestant("CuPy kernels libjpeg", kernels(forward(arithmetic="libjpeg")), needs=cupy)
    yield Contestant("CuPy array API STE", array_api(forward(ste=True)), needs=cupy)
    yield Contestant("CuPy kernels STE + VJP", kernels(vjp(ste=True)), needs=cupy)
    yield Contestant("CuPy kernels smooth + VJP", kernels(vjp()), needs=cupy)
    yield Contestant("CuPy array API STE + VJP", array_api(vjp(ste=True)), needs=cupy)
    for back, suffix in ((False, ""), (True, " + backward")):
        tensors = partial(calls.tensors, backward=back, device="cuda")
        yield Contestant(f"torch kernels STE{suffix}", kernels(tensors(calls.eager)), needs=both)
        yield Contestant(f"torch array API STE{suffix}", array_api(tensors(calls.eager)), needs=TORCH)
        yield Contestant(f"torch compiled STE{suffix}", array_api(tensors(calls.compiled)), needs=TORCH)
        yield Contestant(f"kornia{suffix}", tensors(calls.kornia, white=1.0), needs=KORNIA)
        yield Contestant(f"Diff-JPEG{suffix}", tensors(calls.diff_jpeg), needs=DIFF_JPEG)


CONTESTANTS = tuple(_contestants())


class CUDA:
    """Measures on a device, with CuPy, or with torch where CuPy is not installed.

    By default both use the same stream, so the events of one also time the kernels of the other.
    """

    def __init__(self) -> None:
        self.torch: Any = importlib.import_module("torch") if importlib.util.find_spec("torch") else None
        self.cupy: Any = importlib.import_module("cupy") if importlib.util.find_spec("cupy") else None
        if self.cupy:
            cuda = self.cupy.cuda
            self.event, self.elapsed, self.free = cuda.Event, cuda.get_elapsed_time, cuda.runtime.memGetInfo
            self.device = cuda.runtime.getDeviceProperties(0)["name"].decode()  # raises where there is no device
        elif self.torch and self.torch.cuda.is_available():
            cuda = self.torch.cuda
            self.event, self.elapsed = partial(cuda.Event, enable_timing=True), cuda.Event.elapsed_time
            self.free, self.device = cuda.mem_get_info, cuda.get_device_name()
        else:
            raise RuntimeError("CuPy is not installed, and torch finds no device")

    def copying(self, images: Batch) -> Call:
        """A call that copies the batch on the device."""
        if self.cupy:
            source = self.cupy.asarray(images)
            return partial(self.cupy.copyto, self.cupy.empty_like(source), source)
        tensor = self.torch.from_numpy(images).to("cuda")
        return partial(self.torch.empty_like(tensor).copy_, tensor)

    def seconds(self, call: Call) -> float:
        """The seconds that the device worked on a call."""
        start, end = self.event(), self.event()
        start.record()
        call()
        end.record()
        end.synchronize()
        return 1e-3 * float(self.elapsed(start, end))

    def peak(self, build: Build, images: Batch) -> int:
        """The bytes that a call takes from the device, with the input."""
        self.seconds(build(images))  # compilers and contexts take memory, too
        before = self._free_after_release()
        call = build(images)
        self._free_after_release()  # building may have needed more than the call
        self.seconds(call)
        return before - int(self.free()[0])

    def _free_after_release(self) -> int:
        gc.collect()
        if self.cupy:
            self.cupy.get_default_memory_pool().free_all_blocks()
        if self.torch and self.torch.cuda.is_available():
            self.torch.cuda.empty_cache()
        return int(self.free()[0])


def run(sizes: Sequence[Size], contestants: Sequence[Contestant], gauge: CUDA, repeat: int) -> Report:
    """Measure all contestants at all sizes.

    Each contestant takes turns with the copy, but only one is there at a time: together they would not fit the device.
    """
    report = new_report(contestants, device=gauge.device)
    for size in sizes:
        images = batch(size)
        copy = partial(gauge.seconds, gauge.copying(images))
        times = [Row(f"time, {size.label}", COPY, 1.0, None, 1e3 * statistics.median(copy() for _ in range(repeat)))]
        peaks: list[Row] = []
        for name, build, *_ in [contestant for contestant in contestants if not contestant.missing()]:
            try:
                peak = gauge.peak(build, images) / images.nbytes
                timers = {COPY: copy, name: partial(gauge.seconds, build(images))}
                interleave(timers, range(WARM_UP), WARM_UP)
                taken = interleave(timers, range(repeat), repeat)
            except Exception as error:  # the others continue, whatever error one contestant raises
                report["failed"][f"{name}, {size.label}"] = describe(error)
                continue
            ratio, median = median_ratio(taken[name], taken[COPY])
            gradients = "VJP" in name or "backward" in name
            ratio, target = (ratio / 2, BACKWARD) if gradients else (ratio, FORWARD)  # a copy moves 24 bytes per pixel
            times.append(Row(f"time, {size.label}", name, ratio, target, 1e3 * median, repeat))
            peaks.append(Row(f"peak memory over the batch, {size.label}", name, peak, MEMORY))
        report["rows"] += times + peaks
    return report


def main(given: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 2 if there is no GPU to measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=BATCHES, default=list(BATCHES), help="default: all")
    parser.add_argument("--only", default="", metavar="TEXT", help="contestants whose name contains this")
    parser.add_argument("--repeat", type=int, default=20, metavar="N", help="calls measured (default: %(default)s)")
    parser.add_argument("--json", type=Path, default=Path("build/bench/gpu.json"), help="default: %(default)s")
    options = parser.parse_args(given)
    chosen = [contestant for contestant in CONTESTANTS if options.only.lower() in contestant.name.lower()]
    if not chosen or options.repeat < 1:
        parser.error(f"--only must match one of {', '.join(c.name for c in CONTESTANTS)}, and --repeat be 1 or more")
    try:
        gauge = CUDA()
    except Exception as error:  # the errors of CuPy have no base class that is known without it
        print(f"nothing was measured, because there is no GPU to measure: {describe(error)}", file=sys.stderr)
        return 2
    report = run([BATCHES[name] for name in options.sizes], chosen, gauge, options.repeat)
    save(report, options.json)
    show(report, TITLE)
    print(f"written: {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
