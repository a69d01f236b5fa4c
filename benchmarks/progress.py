"""Progress messages on stderr, because stdout is for the result."""

import sys
import time

_start = time.monotonic()


def progress(message: str, *, fleeting: bool = False) -> None:
    """Show a message. The next one overwrites a fleeting message, which is shown only on a terminal."""
    terminal = sys.stderr.isatty()
    if fleeting and not terminal:
        return
    line = f"[{time.monotonic() - _start:4.0f} s] {message}"
    print(f"\r\033[K{line}" if terminal else line, end="" if fleeting else "\n", file=sys.stderr, flush=True)
