"""Full precision for float32 products of matrices, whatever torch is set to."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

_precision_lock = threading.Lock()
_precision_users = 0
_restore_precision: Callable[[], None] = lambda: None  # noqa: E731


@contextmanager
def full_precision() -> Iterator[None]:
    """Keep TF32 and bfloat16 out of float32 products; the setting is global, so the last to leave restores it."""
    global _precision_users, _restore_precision
    with _precision_lock:
        if _precision_users == 0:
            _restore_precision = _set_full_precision()
        _precision_users += 1
    try:
        yield
    finally:
        with _precision_lock:
            _precision_users -= 1
            if _precision_users == 0:
                _restore_precision()


def _set_full_precision() -> Callable[[], None]:
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:  # It was set by the interface that torch 2.9 added, and can be asked for by that alone.
        return _set_full_precision_by_backend()
    if before == "highest":
        return lambda: None
    torch.set_float32_matmul_precision("highest")
    return lambda: torch.set_float32_matmul_precision(before)


def _set_full_precision_by_backend() -> Callable[[], None]:
    libraries: tuple[Any, ...] = (torch.backends.cuda, torch.backends.mkldnn)
    backends = [library.matmul for library in libraries]
    general: str = torch.backends.fp32_precision  # type: ignore[attr-defined]
    # What a backend has from there it is to have from there again, not as its own.
    before = ["none" if backend.fp32_precision == general else backend.fp32_precision for backend in backends]

    def assign(values: Sequence[str]) -> None:
        for backend, value in zip(backends, values, strict=True):
            backend.fp32_precision = value

    assign(["ieee"] * len(backends))
    return lambda: assign(before)
