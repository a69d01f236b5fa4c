"""Peak memory of one contestant, in a separate process: ``python -m benchmarks.memory NAME``. Linux only."""

import argparse
import contextlib
import gc
import subprocess
import sys
from pathlib import Path

from benchmarks.calls import ContestantError
from benchmarks.contestants import CONTESTANTS
from benchmarks.photos import Size, batch

EDGE = 2048
# Two sizes, because torch.compile supports arbitrary sizes from the second on; kornia needs multiples of 16.
WARM_UP_EDGES = (64, 128)


def measure(name: str, edge: int) -> float:
    """Peak memory, divided by the size of the float32 image. It includes input, cotangent, output and gradients.

    Call this once per process: memory that the allocator keeps from an earlier call would be missing from the peak.
    """
    build = CONTESTANTS[name].build
    for small in WARM_UP_EDGES:
        build(batch(Size("warm-up", 1, small)))()
    gc.collect()
    before = _resident("VmRSS")

    image = batch(Size("memory", 1, edge))
    size = image.nbytes
    call = build(image)
    del image  # some contestants no longer need the float32 image
    _reset_peak()
    outcome = call()
    peak = _resident("VmHWM")
    del outcome
    return (peak - before) / size


def in_fresh_process(name: str, edge: int = EDGE) -> float:
    """`measure` in a new process."""
    command = [sys.executable, "-m", "benchmarks.memory", name, "--edge", str(edge)]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise ContestantError(lines[-1] if lines else f"its process ended with status {done.returncode}")
    return float(done.stdout.splitlines()[-1])


def _resident(field: str) -> int:
    """Bytes of this process in memory: now (VmRSS) or the maximum (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status has no {field}")


def _reset_peak() -> None:
    # Building the call may have needed more memory than the call. If resetting is not permitted, that is counted too.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    """Print the peak memory, divided by the size of the image."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("name", choices=CONTESTANTS, metavar="NAME", help=", ".join(CONTESTANTS))
    parser.add_argument("--edge", type=int, default=EDGE, help="side of the square image (default: %(default)s)")
    given = parser.parse_args()
    print(measure(given.name, given.edge))


if __name__ == "__main__":
    main()
