"""PyTorch: the functions of `pyjpegdiff` under autograd, and `DiffJPEGCoding`, the same as an ``nn.Module``.

Signatures start with those of the published method, whose users change an import and nothing else. What tensors meet
is the same core that NumPy arrays meet. Supported are any device, ``torch.compile`` (``fullgraph=True``),
``torch.func.grad``, ``vjp``, ``jacrev`` and ``vmap`` of them, autocast, checkpointing, and workers of a ``DataLoader``.
Second derivatives, forward mode, ``torch.compile`` of ``vmap(grad)`` and ``torch.jit.script`` raise.

In a training loop: half-precision images are computed in float32 and come back as they were, uint8 ones as float32.
Images of 0..1 need ``data_range=1``; normalized by mean and deviation they must be brought back first. Quality is a
number or a tensor, one a sample; under ``torch.compile`` a tensor, since each new Python number is compiled anew.
Results are contiguous, whatever the memory format that came.

CUDA is supported as far as that can be made sure of without a GPU: none has run this yet. A first call sends constants
to the device, and compiles fused kernels if they are asked for (see `pyjpegdiff.backends`); a CUDA graph is to be
captured after it. Later calls wait for nothing, unless an argument is in the host's memory.
"""

from collections.abc import Callable, Sequence
from typing import Any

import array_api_compat.torch as torch_namespace
import torch
from torch import Tensor, nn

from pyjpegdiff import arguments
from pyjpegdiff.adapters._torch_ops import Backward, Forward, count_outputs, face_constant, forward_op
from pyjpegdiff.adapters._torch_specs import encode_spec
from pyjpegdiff.arguments import Call
from pyjpegdiff.checks import Library
from pyjpegdiff.coefficients import Coefficients
from pyjpegdiff.differentiation import CODE, DECODE, ENCODE, CodingGradients, DecodingGradients, Function, differentiate
from pyjpegdiff.spec import Rounding, Spec
from pyjpegdiff.transforms import TRANSFORMS, Transform

__all__ = [
    "Coefficients",
    "DiffJPEGCoding",
    "diff_jpeg_coding",
    "diff_jpeg_coding_vjp",
    "jpeg_decode",
    "jpeg_decode_vjp",
    "jpeg_encode",
    "jpeg_encode_vjp",
]

LIBRARY = Library(torch_namespace, torch.is_tensor, "torch.Tensor", face_constant)


def diff_jpeg_coding(
    image_rgb: Tensor,
    jpeg_quality: Tensor | float,
    quantization_table_y: Tensor | None = None,
    quantization_table_c: Tensor | None = None,
    ste: bool = False,
    *,
    arithmetic: str = "float",
    subsampling: str = "4:2:0",
    rounding: Rounding = "cubic",
    flooring: str | None = None,
    color_matrix: Tensor | None = None,
    color_offset: Tensor | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> Tensor:
    """`pyjpegdiff.diff_jpeg_coding` of tensors; autograd reaches every tensor among the arguments.

    Examples
    --------
    >>> import torch
    >>> from pyjpegdiff.adapters.torch import diff_jpeg_coding
    >>> image = (255 * torch.rand(2, 3, 32, 32)).requires_grad_()
    >>> quality = torch.tensor([20.0, 80.0], requires_grad=True)  # one a sample
    >>> diff_jpeg_coding(image, quality, ste=True).square().mean().backward()
    >>> image.grad.shape, quality.grad.shape
    (torch.Size([2, 3, 32, 32]), torch.Size([2]))
    """
    call = arguments.coding(
        LIBRARY, image_rgb, jpeg_quality, quantization_table_y, quantization_table_c, ste, arithmetic, subsampling,
        rounding, flooring, color_matrix, color_offset, data_range, channel_axis,
    )  # fmt: skip
    return _apply(CODE, "code", call)


def jpeg_encode(
    image_rgb: Tensor,
    jpeg_quality: Tensor | float,
    quantization_table_y: Tensor | None = None,
    quantization_table_c: Tensor | None = None,
    ste: bool = False,
    *,
    arithmetic: str = "float",
    subsampling: str = "4:2:0",
    rounding: Rounding = "cubic",
    flooring: str | None = None,
    color_matrix: Tensor | None = None,
    color_offset: Tensor | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> Coefficients:
    """`pyjpegdiff.jpeg_encode` of tensors; coefficients and step sizes are differentiable.

    Examples
    --------
    >>> import torch
    >>> from pyjpegdiff.adapters.torch import jpeg_encode
    >>> quality = torch.tensor(50.0, requires_grad=True)
    >>> coefficients = jpeg_encode(255 * torch.rand(3, 32, 32), quality, ste=True)
    >>> coefficients.y.abs().sum().backward()  # a rate term
    >>> bool(quality.grad > 0)  # a higher quality stores more
    True
    """
    call = arguments.coding(
        LIBRARY, image_rgb, jpeg_quality, quantization_table_y, quantization_table_c, ste, arithmetic, subsampling,
        rounding, flooring, color_matrix, color_offset, data_range, channel_axis,
    )  # fmt: skip
    return _apply(ENCODE, "encode", call)


def jpeg_decode(
    coefficients: Coefficients,
    ste: bool = False,
    *,
    arithmetic: str = "float",
    color_matrix: Tensor | None = None,
    color_offset: Tensor | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> Tensor:
    """`pyjpegdiff.jpeg_decode` of tensors.

    Examples
    --------
    >>> import torch
    >>> from pyjpegdiff.adapters.torch import jpeg_decode, jpeg_encode
    >>> image = (255 * torch.rand(3, 32, 32)).requires_grad_()
    >>> jpeg_decode(jpeg_encode(image, 50)).mean().backward()
    >>> image.grad.shape
    torch.Size([3, 32, 32])
    """
    call = arguments.decoding(
        LIBRARY, coefficients, ste, arithmetic, color_matrix, color_offset, data_range, channel_axis
    )
    return _apply(DECODE, "decode", call)


def diff_jpeg_coding_vjp(
    image_rgb: Tensor, *args: Any, wrt: Sequence[str] = ("image_rgb",), **kwargs: Any
) -> tuple[Tensor, Callable[[Tensor], CodingGradients]]:
    """`pyjpegdiff.diff_jpeg_coding_vjp` of tensors, for those who carry cotangents themselves.

    The image is that of `diff_jpeg_coding`, autograd included; through the cotangents autograd raises.
    """
    call = _coding_call(image_rgb, *args, **kwargs)
    return _explicit(CODE, "code", call, arguments.wanted(wrt, CODE.arguments, call))


def jpeg_encode_vjp(
    image_rgb: Tensor, *args: Any, wrt: Sequence[str] = ("image_rgb",), **kwargs: Any
) -> tuple[Coefficients, Callable[[Coefficients], CodingGradients]]:
    """`pyjpegdiff.jpeg_encode_vjp` of tensors, as `diff_jpeg_coding_vjp` is."""
    call = _coding_call(image_rgb, *args, **kwargs)
    return _explicit(ENCODE, "encode", call, arguments.wanted(wrt, ENCODE.arguments, call))


def jpeg_decode_vjp(
    coefficients: Coefficients, *args: Any, wrt: Sequence[str] = ("coefficients",), **kwargs: Any
) -> tuple[Tensor, Callable[[Tensor], DecodingGradients]]:
    """`pyjpegdiff.jpeg_decode_vjp` of tensors, as `diff_jpeg_coding_vjp` is."""
    call = arguments.decoding(LIBRARY, coefficients, *args, **kwargs)
    return _explicit(DECODE, "decode", call, arguments.wanted(wrt, DECODE.arguments, call))


class DiffJPEGCoding(nn.Module):
    """JPEG coding as a layer.

    Parameters
    ----------
    ste, arithmetic, subsampling, rounding, flooring, data_range, channel_axis
        As in `pyjpegdiff.diff_jpeg_coding`.
    quantization_table_y, quantization_table_c, color_matrix, color_offset : Tensor or nn.Parameter, optional
        Kept with the module: an ``nn.Parameter`` is trained, a tensor is a buffer. Default: JPEG's own.

    Examples
    --------
    >>> import torch
    >>> from pyjpegdiff.adapters.torch import DiffJPEGCoding
    >>> table = torch.nn.Parameter(torch.full((8, 8), 20.0))
    >>> jpeg = DiffJPEGCoding(ste=True, rounding="identity", quantization_table_y=table)
    >>> jpeg(255 * torch.rand(1, 3, 32, 32), jpeg_quality=torch.tensor([50.0])).std().backward()
    >>> table.grad.shape
    torch.Size([8, 8])
    """

    quantization_table_y: Tensor | None
    quantization_table_c: Tensor | None
    color_matrix: Tensor | None
    color_offset: Tensor | None

    def __init__(
        self,
        ste: bool = False,
        *,
        quantization_table_y: Tensor | None = None,
        quantization_table_c: Tensor | None = None,
        arithmetic: str = "float",
        subsampling: str = "4:2:0",
        rounding: Rounding = "cubic",
        flooring: str | None = None,
        color_matrix: Tensor | None = None,
        color_offset: Tensor | None = None,
        data_range: float | None = None,
        channel_axis: int | None = -3,
    ) -> None:
        super().__init__()
        self.ste = ste
        self.choices: dict[str, Any] = {
            "arithmetic": arithmetic,
            "subsampling": subsampling,
            "rounding": rounding,
            "flooring": flooring,
            "data_range": data_range,
            "channel_axis": channel_axis,
        }
        arguments.check_choices(ste, **self.choices, color_matrix=color_matrix, color_offset=color_offset)
        kept = {
            "quantization_table_y": quantization_table_y,
            "quantization_table_c": quantization_table_c,
            "color_matrix": color_matrix,
            "color_offset": color_offset,
        }
        for name, value in kept.items():
            if value is None or isinstance(value, nn.Parameter):
                self.register_parameter(name, value)
            elif isinstance(value, Tensor):
                self.register_buffer(name, value)
            else:
                raise TypeError(f"{name} must be a tensor, an nn.Parameter or None, got {type(value).__name__}")

    def forward(
        self,
        image_rgb: Tensor,
        jpeg_quality: Tensor | float,
        quantization_table_y: Tensor | None = None,
        quantization_table_c: Tensor | None = None,
    ) -> Tensor:
        """Code images; tables given here take the place of the module's own."""
        return diff_jpeg_coding(
            image_rgb,
            jpeg_quality,
            self.quantization_table_y if quantization_table_y is None else quantization_table_y,
            self.quantization_table_c if quantization_table_c is None else quantization_table_c,
            self.ste,
            color_matrix=self.color_matrix,
            color_offset=self.color_offset,
            **self.choices,
        )

    def extra_repr(self) -> str:
        """Choices, for ``repr``."""
        return ", ".join(f"{name}={value!r}" for name, value in {"ste": self.ste, **self.choices}.items())


# --- running a call ---------------------------------------------------------------------------------------------------


def _apply(function: Function, kind: str, call: Call) -> Any:
    tensors = tuple(call.inputs.values())
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    spec = encode_spec(call.spec)
    if torch.compiler.is_compiling() and not keep:
        # Compilers trace an autograd function only where there is a gradient to trace.
        outputs = forward_op(kind, spec, call.size, keep, tensors)
    else:
        outputs = Forward.apply(kind, spec, call.size, keep, *tensors)
    return function.leave(call, outputs[: count_outputs(kind, spec)])


def _explicit(function: Function, kind: str, call: Call, names: tuple[str, ...]) -> Any:
    """Result and ``vjp`` by the same autograd functions, so that autograd that meets either is right, or raises."""

    def forward(xp: Any, spec: Spec, size: Any, inputs: Any, asked: Any) -> Any:
        keep = any(asked) or any(tensor.requires_grad for tensor in inputs)
        everything = Forward.apply(kind, encode_spec(spec), size, keep, *inputs)
        outputs = count_outputs(kind, encode_spec(spec))
        return everything[:outputs], everything[outputs:]

    def vjp(xp: Any, spec: Spec, size: Any, inputs: Any, residuals: Any, cotangents: Any, asked: Any) -> Any:
        counts = (len(inputs), len(residuals))
        pulled = iter(Backward.apply(kind, encode_spec(spec), size, asked, counts, *inputs, *residuals, *cotangents))
        return tuple(next(pulled) if wish else None for wish in asked)

    wrapped: Transform = TRANSFORMS[kind]._replace(forward=forward, vjp=vjp)
    return differentiate(function, call, names, wrapped)


def _coding_call(
    image_rgb: Tensor,
    jpeg_quality: Tensor | float,
    quantization_table_y: Tensor | None = None,
    quantization_table_c: Tensor | None = None,
    ste: bool = False,
    **choices: Any,
) -> Call:
    return arguments.coding(
        LIBRARY, image_rgb, jpeg_quality, quantization_table_y, quantization_table_c, ste, **choices
    )
