"""What glibc does with memory that was freed."""

import functools

import numpy as np


@functools.cache
def have_freed_memory_kept() -> None:
    """Let glibc see a large array come and go, untouched, once in a process.

    Until it has, it hands every freed array of a few megabytes back to the system, and each next one costs its page
    faults again: more than half the time of a call. Elsewhere this does nothing.
    """
    np.empty(31 * 2**20, np.uint8)
