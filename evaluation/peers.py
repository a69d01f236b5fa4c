"""Other packages' differentiable JPEGs, of tensors (n, 3, H, W), 0..255, at one quality; none of them is needed."""

import importlib
from collections.abc import Callable
from typing import Any

Codec = Callable[[Any, int], Any]


def _kornia(x: Any, quality: int) -> Any:
    code = importlib.import_module("kornia.enhance").jpeg_codec_differentiable
    return 255 * code(x / 255, x.new_tensor([float(quality)]))


def _diff_jpeg(ste: bool) -> Codec:
    def code(x: Any, quality: int) -> Any:
        published = importlib.import_module("diff_jpeg").diff_jpeg_coding
        return published(image_rgb=x, jpeg_quality=x.new_full((len(x),), float(quality)), ste=ste)

    return code


PEERS: dict[str, tuple[Codec, str]] = {
    "kornia": (_kornia, "kornia"),
    "Diff-JPEG, smooth": (_diff_jpeg(False), "diff_jpeg"),
    "Diff-JPEG, STE": (_diff_jpeg(True), "diff_jpeg"),
}
"""Each with the module that has to be importable."""
