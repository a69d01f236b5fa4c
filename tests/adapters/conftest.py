"""A batch of images as tensors."""

import pytest

from tests.adapters import tensors


@pytest.fixture
def image():
    """Two images in float64."""
    return tensors.images()
