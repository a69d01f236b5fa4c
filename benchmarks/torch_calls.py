"""Calls of differentiable JPEG in torch, all of which take (image, quality, luma table, chroma table)."""

from collections.abc import Callable
from typing import Any

from benchmarks.calls import Build, Call, parameters
from benchmarks.photos import Batch

Code = Callable[..., Any]


def forward(load: Callable[[], Code], white: float = 255.0, device: str = "cpu") -> Build:
    """The function alone; ``load`` imports it, ``white`` is its data range."""

    def build(batch: Batch) -> Call:
        code = load()
        image, quality, table_y, table_c = _tensors(batch, white, device)
        return lambda: code(image, quality, table_y, table_c)

    return build


def backward(load: Callable[[], Code], white: float = 255.0, device: str = "cpu") -> Build:
    """The function and its gradients to image, quality and tables."""

    def build(batch: Batch) -> Call:
        import torch

        code = load()
        tensors = _tensors(batch, white, device)
        cotangent = tensors[0].clone()
        inputs = [tensor.requires_grad_() for tensor in tensors]

        def call() -> object:
            coded = code(*inputs)
            return coded, torch.autograd.grad(coded, inputs, cotangent)

        return call

    return build


def _tensors(batch: Batch, white: float, device: str) -> list[Any]:
    import torch

    image, *rest = (torch.from_numpy(array).to(device) for array in (batch, *parameters(len(batch))))
    return [image if white == 255.0 else image * (white / 255.0), *rest]
