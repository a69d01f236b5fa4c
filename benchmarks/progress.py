"""Tells on stderr what is going on, since stdout is for the result."""

import sys
import time

_start = time.monotonic()


def progress(message: str, *, fleeting: bool = False) -> None:
    """Show a message; a fleeting one is overwritten by the next, and left out where nothing can be overwritten."""
    terminal = sys.stderr.isatty()
    if fleeting and not terminal:
        return
    line = f"[{time.monotonic() - _start:4.0f} s] {message}"
    print(f"\r\033[K{line}" if terminal else line, end="" if fleeting else "\n", file=sys.stderr, flush=True)
