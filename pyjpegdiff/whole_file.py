"""Writing a file completely or not at all."""

import itertools
import os
from pathlib import Path

PARTIAL = ".pyjpegdiff-{}.partial"
"""Short, because the name of the file itself may be as long as the file system allows."""
_count = itertools.count()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file completely or not at all."""
    temporary = path.with_name(PARTIAL.format(f"{os.getpid()}-{next(_count)}"))
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
