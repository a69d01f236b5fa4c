"""Images and parameters as tensors, and how the compiler is called."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pyjpegdiff.stages.color import MATRIX  # noqa: E402

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


def images():
    """(2, 3, 24, 40), float64."""
    rng = np.random.default_rng(0)
    return torch.from_numpy(
        (rng.uniform(60, 190, (2, 3, 1, 1)) + 6 * rng.standard_normal((2, 3, 24, 40)).cumsum(-1)).clip(0, 255)
    )


def parameters(dtype=torch.float64):
    """Of a batch of two."""
    rng = np.random.default_rng(1)
    return {
        "jpeg_quality": torch.tensor([33.3, 76.7], dtype=dtype),
        "quantization_table_y": torch.from_numpy(rng.uniform(5, 60, (8, 8))).to(dtype),
        "quantization_table_c": torch.from_numpy(rng.uniform(5, 60, (2, 8, 8))).to(dtype),
        "color_matrix": torch.tensor(MATRIX, dtype=dtype) * 1.01,
        "color_offset": torch.tensor([1.0, 127, 129], dtype=dtype),
    }


def compiled(function, **options):
    """The function, compiled anew and without graph breaks."""
    torch._dynamo.reset()
    fast = torch.compile(function, fullgraph=True, **options)

    def call(*args, **kwargs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler's own, about its own parts
            return fast(*args, **kwargs)

    return call
