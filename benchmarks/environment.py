"""What the figures depend on besides the code: processor, threads, versions."""

import importlib.metadata
import importlib.util
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import features

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PACKAGES = ("pyjpegdiff", "numpy", "pillow", "torch", "kornia")


def environment() -> dict[str, Any]:
    """The environment, in the form of the JSON file."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "cpus_allowed": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "libjpeg_turbo": features.version("libjpeg_turbo") if features.check_feature("libjpeg_turbo") else None,
        "blas": _blas(),
        "torch_threads": _torch_threads(),
        "thread_variables": {name: os.environ.get(name) for name in THREAD_VARIABLES},
    }


def header(described: dict[str, Any]) -> str:
    """The environment as text."""
    versions = [f"{name} {version or 'not installed'}" for name, version in described["packages"].items()]
    variables = [f"{name}={value or 'unset'}" for name, value in described["thread_variables"].items()]
    lines = (
        f"{described['processor']}, {described['cpus_allowed']} of {described['cpus']} CPUs, load {described['load']}",
        f"Python {described['python']}, {', '.join(versions)}",
        f"libjpeg-turbo {described['libjpeg_turbo'] or 'not in this Pillow'}, BLAS {described['blas']}",
        f"threads: torch {described['torch_threads'] or '-'}, {', '.join(variables)}",
    )
    return "\n".join(lines)


def _processor() -> str:
    try:
        information = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in information.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _blas() -> str:
    found: Any = np.show_config(mode="dicts")
    blas = found["Build Dependencies"]["blas"]
    return f"{blas['name']} {blas['version']}"


def _torch_threads() -> int | None:
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    return torch.get_num_threads()
