"""A batch of images as tensors, memory that counts as a device's, and torchvision beside whatever torch there is."""

import importlib.util

import pytest

from pyjpegdiff import arrays
from pyjpegdiff.backends import available, cuda_kernels, use_backend

_declared = []


@pytest.fixture
def image():
    """Two images in float64."""
    from tests.adapters import tensors  # skips where there is no torch; other adapters' tests need none

    return tensors.images()


@pytest.fixture(params=["cpu_kernels", "array_api"])
def of_jax(request):
    """Each backend that JAX can have on a CPU, named while the test runs.

    What was traced before keeps its backend, so such a test compiles functions of its own.
    """
    if request.param not in available():
        pytest.skip("the compiled library is not there")
    with use_backend(request.param):
        yield request.param


@pytest.fixture
def remote(monkeypatch):
    """Have the host's memory count as a device's."""
    from pyjpegdiff.adapters import _torch_constants
    from pyjpegdiff.adapters.torch import LIBRARY

    for module in (arrays, _torch_constants, cuda_kernels):
        monkeypatch.setattr(module, "is_remote", lambda xp, device: xp is LIBRARY.xp)
    arrays.KEPT.clear()
    yield
    arrays.KEPT.clear()


@pytest.fixture(scope="session")
def torchvision():
    """The library, with its transforms."""
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        # One built for CUDA has no operators beside a torch without. Its transforms need no more than their schemas.
        from torch.library import Library

        library = Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(library)  # which takes its schemas along when it goes
    importlib.import_module("torchvision.transforms.v2")
    return importlib.import_module("torchvision")
