"""Peak memory of one contestant, in a process of its own: ``python -m benchmarks.memory NAME``. Linux only."""

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
# Two of them, since torch.compile goes from a fixed size to any at the second; multiples of 16, as kornia asks.
WARM_UP_EDGES = (64, 128)


def measure(name: str, edge: int) -> float:
    """Peak memory over the size of the float32 image; input, cotangent, output and gradients are all in it.

    To be called once in a process: memory that an earlier call left to the allocator would be missing from the peak.
    """
    build = CONTESTANTS[name].build
    for small in WARM_UP_EDGES:
        build(batch(Size("warm-up", 1, small)))()
    gc.collect()
    before = _resident("VmRSS")

    image = batch(Size("memory", 1, edge))
    size = image.nbytes
    call = build(image)
    del image  # not every contestant needs the floats any more
    _reset_peak()
    outcome = call()
    peak = _resident("VmHWM")
    del outcome
    return (peak - before) / size


def in_fresh_process(name: str, edge: int = EDGE) -> float:
    """`measure`, where nothing has run before."""
    command = [sys.executable, "-m", "benchmarks.memory", name, "--edge", str(edge)]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise ContestantError(lines[-1] if lines else f"its process ended with status {done.returncode}")
    return float(done.stdout.splitlines()[-1])


def _resident(field: str) -> int:
    """Bytes of this process in memory, now (VmRSS) or at most (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status has no {field}")


def _reset_peak() -> None:
    # Building may have needed more for a moment than the call does. Where resetting is forbidden, that counts too.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    """Print the factor."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("name", choices=CONTESTANTS, metavar="NAME", help=", ".join(CONTESTANTS))
    parser.add_argument("--edge", type=int, default=EDGE, help="of the square image (default: %(default)s)")
    given = parser.parse_args()
    print(measure(given.name, given.edge))


if __name__ == "__main__":
    main()
