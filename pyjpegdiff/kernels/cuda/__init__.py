"""The CUDA C++ source of the fused kernels, and what it is compiled for."""

import functools
import posixpath
import re
from dataclasses import dataclass
from importlib import resources

TILE_WIDTH = 64
"""Pixels, as in tile.cuh."""
BLOCK = 8


@functools.cache
def source() -> str:
    """kernels.cu with its headers in place: a compiler that keeps what it compiled is to see when one changes."""
    folder = resources.files("pyjpegdiff.kernels")
    done: set[str] = set()

    def text(path: str) -> str:
        if path in done:
            return ""
        done.add(path)

        def included(match: re.Match[str]) -> str:
            return text(posixpath.normpath(posixpath.join(posixpath.dirname(path), match[1])))

        own = folder.joinpath(*path.split("/")).read_text(encoding="utf-8").replace("#pragma once\n", "")
        return re.sub(r'^#include "(.+)"$', included, own, flags=re.M)

    return text("cuda/kernels.cu")


@dataclass(frozen=True)
class Options:
    """What the kernels are compiled for."""

    real: str
    """``"float"`` or ``"double"``."""
    hard: bool
    libjpeg: bool
    rounding: str
    elastic: bool
    sampling: tuple[int, int] | None
    """None for grayscale."""

    @property
    def defines(self) -> dict[str, str | int]:
        """The macros that the source asks for."""
        rows, columns = self.sampling or (1, 1)
        return {
            "REAL": self.real, "HARD": int(self.hard), "LIBJPEG": int(self.libjpeg), "ROUNDING": self.rounding.upper(),
            "ELASTIC": int(self.elastic),
            "CHANNELS": 1 if self.sampling is None else 3, "ROWS": rows, "COLUMNS": columns,
        }  # fmt: skip

    @property
    def threads(self) -> int:
        """Of a thread block: eight for every 8x8 block of a tile."""
        rows, columns = self.sampling or (1, 1)
        blocks = rows * TILE_WIDTH // BLOCK
        return BLOCK * (blocks if self.sampling is None else blocks + 2 * TILE_WIDTH // (BLOCK * columns))

    def tiles(self, size: tuple[int, int]) -> int:
        """Thread blocks to an image."""
        rows, _ = self.sampling or (1, 1)
        return -(-size[0] // (BLOCK * rows)) * -(-size[1] // TILE_WIDTH)
