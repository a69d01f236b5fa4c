"""PyTorch: the functions of `pyjpegdiff` under autograd, the same as a `torch.nn.Module`, and random JPEG for training.

Signatures of `diff_jpeg_coding` and `DiffJPEGCoding` start with those of the published method. Tensors are computed by
the same code as NumPy arrays. Supported are any device, `torch.compile` (``fullgraph=True``, images of any size),
``torch.export`` and training what was exported, `torch.func.grad`, ``vjp``, ``jacrev`` and ``vmap`` of them, batched
gradients, autocast, checkpointing, and workers of a `torch.utils.data.DataLoader`. Second derivatives, forward mode,
`torch.compile` of ``vmap(grad)``, `torch.jit.trace` and `torch.jit.script` raise.

In a training loop: half-precision images are computed in float32 and returned in their dtype, uint8 images are returned
as float32. Images of 0..1 need ``data_range=1``, and no warning tells. `RandomJPEG` draws qualities, and takes images
that were normalized by mean and standard deviation; all else needs them converted back first. Quality is a number, or a
tensor with one per sample; under `torch.compile` give a tensor, since each new Python number is compiled again.
Results are contiguous in the image's axis order.
One compilation serves images of all sizes. For `jpeg_encode` and `jpeg_decode`, sides of 16 pixels or less may need
another one, since compilers treat axes of length 1 separately.

No GPU has run this yet. CUDA is supported as far as that can be verified without one. The first call sends constants to
the device, and compiles CUDA kernels if `pyjpegdiff.backends.use_backend` names them; capture a CUDA graph after it.
Later calls wait for nothing, unless an argument is in the host's memory.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pyjpegdiff import arguments, backends, execution, rate, scan
from pyjpegdiff.adapters._torch_constants import constant_of_call, torch_namespace
from pyjpegdiff.adapters._torch_ops import NO_FORWARD_MODE, EagerForward, Forward, backward, count_outputs, forward_op
from pyjpegdiff.adapters._torch_plans import encode_plan
from pyjpegdiff.adapters._torch_random import Drawn, RandomJPEG
from pyjpegdiff.adapters._torch_rate import RateVJP, bits_of
from pyjpegdiff.arguments import Call, Library
from pyjpegdiff.operations import CODE, DECODE, ENCODE, Operation
from pyjpegdiff.results import CodingGradients, Coefficients, DecodingGradients
from pyjpegdiff.spec import Plan, Spec
from pyjpegdiff.types import Rounding, Size

__all__ = [
    "Coefficients",
    "DiffJPEGCoding",
    "Drawn",
    "RandomJPEG",
    "diff_jpeg_coding",
    "diff_jpeg_coding_vjp",
    "jpeg_decode",
    "jpeg_decode_vjp",
    "jpeg_encode",
    "jpeg_encode_vjp",
    "jpeg_rate",
    "jpeg_rate_vjp",
]


def _choose(spec: Spec, xp: Any, device: torch.device) -> str:
    """As `pyjpegdiff.backends.choose`; for a compiler, what holds at tracing is a constant."""
    if not torch.compiler.is_compiling():
        return backends.choose(spec, xp, device)
    return _choose_once(isinstance(spec.rounding, str), device.type)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _choose_once(is_named: bool, device_type: str) -> str:
    functions: Any = (torch.round, torch.ones_like)
    spec = Spec(False, "cubic" if is_named else functions, "cubic")
    return backends.choose(spec, torch_namespace, torch.device(device_type))


NO_TRACE = (
    "pyjpegdiff: torch.jit.trace, and onnx.export(dynamo=False), which relies on it, are not supported; use "
    "torch.compile or torch.export"
)


def _is_eager() -> bool:
    return not torch.compiler.is_compiling()


LIBRARY = Library(torch_namespace, torch.is_tensor, "torch.Tensor", constant_of_call, _choose, is_eager=_is_eager)


def diff_jpeg_coding(
    image_rgb: Tensor,
    jpeg_quality: Tensor | float,
    quantization_table_y: Tensor | None = None,
    quantization_table_c: Tensor | None = None,
    ste: bool = False,
    *,
    arithmetic: str = "float",
    subsampling: str = "4:2:0",
    rounding: Rounding = "rational",
    flooring: str | None = None,
    steps_gradient: str | None = None,
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
    >>> quality = torch.tensor([20.0, 80.0], requires_grad=True)  # one per sample
    >>> diff_jpeg_coding(image, quality, ste=True).square().mean().backward()
    >>> image.grad.shape, quality.grad.shape
    (torch.Size([2, 3, 32, 32]), torch.Size([2]))
    """
    return _run(CODE, arguments.coding, locals())


def jpeg_encode(
    image_rgb: Tensor,
    jpeg_quality: Tensor | float,
    quantization_table_y: Tensor | None = None,
    quantization_table_c: Tensor | None = None,
    ste: bool = False,
    *,
    arithmetic: str = "float",
    subsampling: str = "4:2:0",
    rounding: Rounding = "rational",
    flooring: str | None = None,
    steps_gradient: str | None = None,
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
    return _run(ENCODE, arguments.coding, locals())


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
    return _run(DECODE, arguments.decoding, locals())


def jpeg_rate(coefficients: Coefficients, *, huffman: str = "standard") -> Tensor:
    """`pyjpegdiff.jpeg_rate` of tensors: exact bits, with the derivative that `pyjpegdiff.jpeg_rate_vjp` explains.

    Their values are not looked at. ``"optimized"`` waits for the device. `torch.compile` breaks its graph here.

    Examples
    --------
    >>> import torch
    >>> from pyjpegdiff.adapters.torch import jpeg_encode, jpeg_rate
    >>> image = (255 * torch.rand(2, 3, 32, 32)).requires_grad_()
    >>> jpeg_rate(jpeg_encode(image, 60, rounding="identity")).sum().backward()
    >>> bool(image.grad.abs().sum() > 0)
    True
    """
    return bits_of(*_rate_arguments(coefficients, huffman)[1])


def jpeg_rate_vjp(
    coefficients: Coefficients, *, huffman: str = "standard"
) -> tuple[Tensor, Callable[[Tensor], Coefficients]]:
    """`pyjpegdiff.jpeg_rate_vjp` of tensors, as `diff_jpeg_coding_vjp` is."""
    call, given = _rate_arguments(coefficients, huffman)
    choices, blocks = given[:3], given[3:]
    # Copies: the caller may write to arguments before calling vjp.
    kept = [block.clone() for block in blocks]
    return bits_of(*given), rate.vjp_of(call, lambda g: RateVJP.apply(*choices, g, *kept))


def _rate_arguments(coefficients: Coefficients, huffman: str) -> tuple[Call, tuple[Any, ...]]:
    _refuse_what_cannot_be_right()
    call, huffman = rate.checked(LIBRARY, coefficients, huffman)
    return call, (call.plan.backend, call.plan.spec.sampling, huffman, *scan.blocks_of(call))


def diff_jpeg_coding_vjp(
    image_rgb: Tensor,
    jpeg_quality: Tensor | float,
    quantization_table_y: Tensor | None = None,
    quantization_table_c: Tensor | None = None,
    ste: bool = False,
    *,
    wrt: Sequence[str] = ("image_rgb",),
    arithmetic: str = "float",
    subsampling: str = "4:2:0",
    rounding: Rounding = "rational",
    flooring: str | None = None,
    steps_gradient: str | None = None,
    color_matrix: Tensor | None = None,
    color_offset: Tensor | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> tuple[Tensor, Callable[[Tensor], CodingGradients]]:
    """`pyjpegdiff.diff_jpeg_coding_vjp` of tensors, for those who carry cotangents themselves.

    The image is that of `diff_jpeg_coding`, autograd included; through the cotangents autograd raises.
    """
    return _run_with_vjp(CODE, arguments.coding, locals())


def jpeg_encode_vjp(
    image_rgb: Tensor,
    jpeg_quality: Tensor | float,
    quantization_table_y: Tensor | None = None,
    quantization_table_c: Tensor | None = None,
    ste: bool = False,
    *,
    wrt: Sequence[str] = ("image_rgb",),
    arithmetic: str = "float",
    subsampling: str = "4:2:0",
    rounding: Rounding = "rational",
    flooring: str | None = None,
    steps_gradient: str | None = None,
    color_matrix: Tensor | None = None,
    color_offset: Tensor | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> tuple[Coefficients, Callable[[Coefficients], CodingGradients]]:
    """`pyjpegdiff.jpeg_encode_vjp` of tensors, as `diff_jpeg_coding_vjp` is."""
    return _run_with_vjp(ENCODE, arguments.coding, locals())


def jpeg_decode_vjp(
    coefficients: Coefficients,
    ste: bool = False,
    *,
    wrt: Sequence[str] = ("coefficients",),
    arithmetic: str = "float",
    color_matrix: Tensor | None = None,
    color_offset: Tensor | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> tuple[Tensor, Callable[[Tensor], DecodingGradients]]:
    """`pyjpegdiff.jpeg_decode_vjp` of tensors, as `diff_jpeg_coding_vjp` is."""
    return _run_with_vjp(DECODE, arguments.decoding, locals())


class DiffJPEGCoding(nn.Module):
    """JPEG coding as a layer.

    Parameters
    ----------
    ste, arithmetic, subsampling, rounding, flooring, steps_gradient, data_range, channel_axis
        As in `pyjpegdiff.diff_jpeg_coding`.
    quantization_table_y, quantization_table_c, color_matrix, color_offset : Tensor, optional
        Kept with the module: a `torch.nn.parameter.Parameter` is trained, a tensor is a buffer. Default: JPEG's own.

    Examples
    --------
    >>> import torch
    >>> from pyjpegdiff.adapters.torch import DiffJPEGCoding
    >>> table = torch.nn.Parameter(torch.full((8, 8), 20.0))
    >>> jpeg = DiffJPEGCoding(ste=True, quantization_table_y=table)
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
        rounding: Rounding = "rational",
        flooring: str | None = None,
        steps_gradient: str | None = None,
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
            "steps_gradient": steps_gradient,
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


def _run(operation: Operation, check: Callable[..., Call], given: dict[str, Any]) -> Any:
    _refuse_what_cannot_be_right()
    call = check(LIBRARY, **given)
    # `held` has to stay until the graph holds it, too.
    plan, held = encode_plan(call.plan)
    outputs = _forward(operation, plan, call.size, tuple(call.inputs.values()), keep=False)
    del held
    return execution.result(operation, call, tuple(outputs[: count_outputs(operation.name, plan)]))


def _run_with_vjp(operation: Operation, check: Callable[..., Call], given: dict[str, Any]) -> Any:
    _refuse_what_cannot_be_right()
    wrt = given.pop("wrt")
    call = check(LIBRARY, **given)
    return execution.run_with_vjp(operation, call, wrt, _Operators(call.plan))


def _refuse_what_cannot_be_right() -> None:
    """Raise where torch would go on without us: it would record numbers for a graph, or drop tangents."""
    if torch.jit.is_tracing():  # type: ignore[attr-defined]
        raise NotImplementedError(NO_TRACE)
    # Compiled code may have the bare operator, which has no rule for tangents; elsewhere `EagerForward` raises. The
    # compiler guards on what is read here, so that it compiles anew for forward mode.
    if torch.compiler.is_compiling() and torch.autograd.forward_ad._current_level >= 0:
        raise NotImplementedError(NO_FORWARD_MODE)


def _forward(operation: Operation, plan: str, size: Size, inputs: Sequence[Any], keep: bool) -> Sequence[Any]:
    """Outputs and, if they are to be kept or autograd needs them, residuals."""
    if torch.compiler.is_compiling():
        # Of an argument of `torch.func.grad` compilers say that it needs no gradient, of a view of it the truth.
        inputs = [x.view_as(x) for x in inputs]
    has_graph = torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
    keep = keep or has_graph
    if not torch.compiler.is_compiling():
        outputs: Sequence[Any] = EagerForward.apply(operation.name, plan, size, keep, *inputs)
        return outputs
    # Compilers trace an autograd function only where there is a gradient to trace.
    return (
        Forward.apply(operation.name, plan, size, keep, *inputs)
        if has_graph
        else forward_op(operation.name, plan, size, keep, inputs)
    )


class _Operators:
    """Executes a call by the autograd functions, so that autograd that meets either result is right, or raises."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.held = encode_plan(plan)

    def forward(
        self, operation: Operation, plan: Plan, size: Size, xp: Any, inputs: Any, needs: tuple[bool, ...]
    ) -> Any:
        """As `pyjpegdiff.execution.Executor.forward`."""
        results = _forward(operation, self.plan, size, inputs, keep=any(needs))
        outputs = count_outputs(operation.name, self.plan)
        return results[:outputs], results[outputs:]

    def vjp(
        self, operation: Operation, plan: Plan, size: Size, xp: Any, inputs: Any, residuals: Any, cotangents: Any,
        needs: tuple[bool, ...],
    ) -> Any:  # fmt: skip
        """As `pyjpegdiff.execution.Executor.vjp`."""
        counts = (len(inputs), len(residuals))
        tensors = (*inputs, *residuals, *cotangents)
        pulled = iter(backward(operation.name, self.plan, size, needs, counts, tensors))
        return tuple([next(pulled) if need else None for need in needs])
