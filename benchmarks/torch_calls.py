"""Calls of differentiable JPEG in torch; every codec has the arguments (image, quality, luma table, chroma table)."""

from collections.abc import Callable
from typing import Any

from benchmarks.calls import Build, Call, parameters
from benchmarks.photos import Batch

Codec = Callable[..., Any]


def forward(load: Callable[[], Codec], white: float = 255.0, device: str = "cpu") -> Build:
    """Only the function; ``load`` imports it, ``white`` is its data range."""

    def build(batch: Batch) -> Call:
        codec = load()
        image, quality, table_y, table_c = _tensors(batch, white, device)
        return lambda: codec(image, quality, table_y, table_c)

    return build


def backward(load: Callable[[], Codec], white: float = 255.0, device: str = "cpu") -> Build:
    """The function and its gradients with respect to image, quality and tables."""

    def build(batch: Batch) -> Call:
        import torch

        codec = load()
        tensors = _tensors(batch, white, device)
        cotangent = tensors[0].clone()
        inputs = [tensor.requires_grad_() for tensor in tensors]

        def call() -> object:
            result = codec(*inputs)
            return result, torch.autograd.grad(result, inputs, cotangent)

        return call

    return build


def _tensors(batch: Batch, white: float, device: str) -> list[Any]:
    import torch

    image, *rest = (torch.from_numpy(array).to(device) for array in (batch, *parameters(len(batch))))
    return [image if white == 255.0 else image * (white / 255.0), *rest]
