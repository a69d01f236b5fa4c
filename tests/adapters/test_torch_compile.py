"""The torch adapter under compilers and exporters: sizes that vary, gradients, and what fake tensors tell."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch._dynamo.testing import CompileCounterWithBackend  # noqa: E402
from torch.export import Dim  # noqa: E402
from torch.library import opcheck  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from pyjpegdiff import backends  # noqa: E402
from pyjpegdiff.adapters.torch import DiffJPEGCoding, diff_jpeg_coding, jpeg_decode, jpeg_encode  # noqa: E402
from pyjpegdiff.backends import use_backend  # noqa: E402
from tests.adapters.tensors import DEVICES, compiled  # noqa: E402
from tests.backends.cuda.emulator import EmulatedKernels  # noqa: E402
from tests.samples import HOST_BACKENDS, MODES  # noqa: E402


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("mode", MODES)
def test_compile_without_graph_breaks(image, mode, device):
    image = image.float().to(device).requires_grad_()
    quality = torch.tensor([30.0, 70.0], device=device, requires_grad=True)

    def loss(image, quality):
        return diff_jpeg_coding(image * 1.0, quality, **mode).square().mean()

    got = torch.autograd.grad(compiled(loss)(image, quality), (image, quality))
    if "arithmetic" in mode:
        coded = compiled(lambda x: diff_jpeg_coding(x, 60, **mode))(image)
        assert torch.equal(coded, diff_jpeg_coding(image, 60, **mode))
    want = torch.autograd.grad(loss(image, quality), (image, quality))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_compile_warns_of_nothing_of_ours_and_takes_several_numbers(image):
    image = image.float().requires_grad_()
    torch._dynamo.reset()
    code = torch.compile(DiffJPEGCoding(ste=True), fullgraph=True)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for quality in (50, 51, 52.5):
            got = code(image, quality)
            one = code(image[0], torch.tensor([quality]))  # an axis that is taken away
            assert torch.equal(one, got[0])
            assert torch.equal(got, diff_jpeg_coding(image, quality, ste=True))
        got.sum().backward()
    assert not [str(warning.message) for warning in told if "pyjpegdiff" in str(warning.message)]
    # Of what array-api-compat keeps in a cache, either.
    assert not [str(warning.message) for warning in told if "lru_cache" in str(warning.message)]


def test_compile_the_module_encode_decode_and_new_sizes(image):
    module = DiffJPEGCoding(ste=True, quantization_table_y=nn.Parameter(torch.full((8, 8), 20.0)))

    def both(image):
        return module(image, 50) + jpeg_decode(jpeg_encode(image, 50, arithmetic="libjpeg"), arithmetic="libjpeg")

    fast = compiled(both)
    for height in (24, 17, 9):
        part = image[..., :height, :].float()
        torch.testing.assert_close(fast(part), both(part), rtol=0, atol=1e-3)
        (g,) = torch.autograd.grad(fast(part).sum(), module.quantization_table_y)
        assert g.abs().sum() > 0


# --- sizes that vary --------------------------------------------------------------------------------------------------


SIZES = [(2, 94, 47), (3, 17, 24), (2, 31, 18), (5, 32, 33), (2, 33, 48), (4, 23, 17), (2, 64, 19)]
SMALL_SIZES = [(2, 94, 47), (3, 16, 24), (2, 9, 11), (5, 2, 33), (2, 31, 8), (4, 7, 3), (2, 64, 15)]
"""A compiler has code of its own for axes of length 1, of blocks too: only images have less than two blocks here."""


def batch(samples, height, width, dtype=torch.float32):
    generator = torch.Generator().manual_seed(height * width)
    return 255 * torch.rand(samples, 3, height, width, dtype=dtype, generator=generator)


def code_and_weigh(image, quality):
    return diff_jpeg_coding(image, quality)


def encode_and_weigh(image, quality):
    coefficients = jpeg_encode(image, quality)
    return coefficients.y, coefficients.cb, coefficients.cr, coefficients.steps_c


def encode_and_decode(image, quality):
    return jpeg_decode(jpeg_encode(image, quality))


def encode_and_decode_gray(image, quality):
    gray = image[:, 1]
    return jpeg_decode(jpeg_encode(gray, quality, channel_axis=None), channel_axis=None)


def code_channels_last(image, quality):
    return diff_jpeg_coding(image.movedim(1, -1), quality, ste=True, subsampling="4:2:2", channel_axis=-1)


FUNCTIONS = [code_and_weigh, encode_and_weigh, encode_and_decode, encode_and_decode_gray, code_channels_last]


def total(result):
    results = (result,) if isinstance(result, torch.Tensor) else result
    return sum((x * torch.linspace(-1, 1, x.shape[-1], dtype=x.dtype)).sum() for x in results)


@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_one_compilation_for_all_sizes(function, backend):
    """Forward and backward; a gradient of quality a sample."""
    counter, compilations = CompileCounterWithBackend(backend), []
    fast = compiled(function, backend=counter, dynamic=True)
    sizes = SIZES + (SMALL_SIZES if function in (code_and_weigh, code_channels_last) else [])
    for shape in sizes[: 4 if backend == "inductor" else None]:
        inputs = batch(*shape, dtype=torch.float64).requires_grad_(), torch.linspace(20, 80, shape[0]).requires_grad_()
        got, expected = fast(*inputs), function(*inputs)
        gradients = [torch.autograd.grad(total(result), inputs) for result in (got, expected)]
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)
        for a, b in zip(*gradients, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
        compilations.append(counter.frame_count)
    assert set(compilations) == {compilations[0]}  # some backends are asked twice, but for the first size alone


@pytest.mark.parametrize("backend", HOST_BACKENDS)
def test_one_compilation_for_inference_in_all_sizes(backend):
    counter, compilations = CompileCounterWithBackend("aot_eager"), []
    with use_backend(backend):
        fast = compiled(lambda x: diff_jpeg_coding(x, 50, arithmetic="libjpeg"), backend=counter, dynamic=True)
        for shape in SIZES + SMALL_SIZES:
            image = batch(*shape)
            assert torch.equal(fast(image), diff_jpeg_coding(image, 50, arithmetic="libjpeg"))
            compilations.append(counter.frame_count)
    assert set(compilations) == {compilations[0]}


class Coder(nn.Module):
    """Has a table to be trained."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.quality = nn.Parameter(torch.tensor(60.0))

    def forward(self, image):
        return self.function(image, self.quality)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_exported_program_takes_all_sizes_and_trains(function, named):
    module = Coder(function)
    dims = {0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO}
    if named:
        least = 2 if function in (code_and_weigh, code_channels_last) else 17  # two blocks of chroma
        dims = {2: Dim("height", min=least), 3: Dim("width", min=least)}
    program = torch.export.export(module, (batch(*SIZES[0]),), dynamic_shapes=(dims,)).module()
    for shape in SIZES[1:]:
        image = batch(*((2, *shape[1:]) if 0 not in dims else shape)).requires_grad_()
        got, expected = program(image), module(image)
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-4)
        found = torch.autograd.grad(total(got), (image, program.quality))
        for a, b in zip(found, torch.autograd.grad(total(expected), (image, module.quality)), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_program_exported_without_gradients_gives_them(function):
    """What it has not kept is computed again, from inputs that needed no gradient at the time."""
    image, quality = batch(2, 20, 24), torch.tensor([30.0, 70.0])

    class Plain(nn.Module):
        def forward(self, image, quality):
            return function(image, quality)

    with torch.no_grad():
        program = torch.export.export(Plain(), (image, quality)).module()
    leaves = (image.clone().requires_grad_(), quality.clone().requires_grad_())
    got, expected = program(*leaves), function(*leaves)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-4)
    found = torch.autograd.grad(total(got), leaves)
    for a, b in zip(found, torch.autograd.grad(total(expected), leaves), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)
    (of_quality,) = torch.autograd.grad(total(program(image, leaves[1])), leaves[1])
    torch.testing.assert_close(of_quality, found[1])


def test_exported_module_is_trained_as_the_module_is():
    """Steps of an optimizer, forward and backward."""
    image = batch(2, 20, 24)
    losses = []
    for exported in (False, True):
        table = nn.Parameter(torch.full((8, 8), 20.0))
        module = DiffJPEGCoding(ste=True, rounding="identity", quantization_table_y=table)
        trained = torch.export.export(module, (image, torch.tensor(50.0))).module() if exported else module
        optimizer = torch.optim.SGD(trained.parameters(), lr=3000.0)
        for _ in range(3):
            optimizer.zero_grad()
            loss = (trained(image, torch.tensor(50.0)) - image).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[2] < losses[0]
    np.testing.assert_allclose(losses[3:], losses[:3], rtol=1e-5)


# --- what fake tensors tell -------------------------------------------------------------------------------------------


class Recorder(TorchDispatchMode):
    """Notes the calls of the package's operators."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace == "pyjpegdiff":
            self.calls.append((func, args))
        return func(*args, **(kwargs or {}))


def recorded(function, *inputs):
    """The calls of a forward and its VJP."""
    leaves = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    with Recorder() as recorder:
        total(function(*leaves)).backward()
    plain = lambda x: x.detach() if isinstance(x, torch.Tensor) else [plain(y) for y in x] if isinstance(x, list) else x
    return [(func, tuple(plain(list(x) if isinstance(x, tuple) else x) for x in args)) for func, args in recorder.calls]


@pytest.fixture(params=[*HOST_BACKENDS, "emulated"])
def backend(request):
    if request.param == "emulated":
        backends.register(EmulatedKernels())
    with use_backend(request.param):
        yield request.param


DTYPES = [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64]
FAKES = ("test_schema", "test_faketensor")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_fakes_of_code(image, mode, dtype, backend):
    pixels = image[..., :17, :21].movedim(-3, -1).to(dtype).contiguous()
    calls = recorded(lambda x, q: diff_jpeg_coding(x, q, channel_axis=-1, **mode), pixels, torch.tensor([30.0, 70.0]))
    assert [func.name() for func, _ in calls] == ["pyjpegdiff::forward", "pyjpegdiff::vjp"]
    for func, args in calls:
        opcheck(func, args, test_utils=FAKES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gray", [False, True])
def test_fakes_of_encode_and_decode(image, gray, dtype, backend):
    pixels = image[:, 0] if gray else image
    options = {"channel_axis": None if gray else -3}
    quality = torch.tensor([[30.0], [70.0]], dtype=torch.float64)
    function = lambda x, q: jpeg_decode(jpeg_encode(x[:, None], q, **options), **options)
    calls = recorded(function, pixels[..., :17, :21].to(dtype).contiguous(), quality)
    names = ["pyjpegdiff::forward", "pyjpegdiff::forward", "pyjpegdiff::vjp", "pyjpegdiff::vjp"]
    assert [func.name() for func, _ in calls] == names
    for func, args in calls:
        opcheck(func, args, test_utils=FAKES)


def test_fake_tensors_tell_shapes_and_strides(image):
    quality = torch.tensor(50.0, dtype=torch.float64)
    for func, args in recorded(lambda x, q: diff_jpeg_coding(x, q), image, quality):
        opcheck(func, args, test_utils=FAKES)
        kept = args[-1]
        assert [tuple(x.shape) for x in kept[1:6] if x is not None] == [(), (8, 8), (8, 8), (3, 3), (3,)]


def test_registration_of_gradients(image, backend):
    """As torch checks it, for those who call the operators from compiled code."""
    calls = recorded(lambda x: jpeg_encode(x, 50.0).y, image[:1, :, :9, :8])
    func, args = calls[0]
    tensors = [args[-1][0].requires_grad_(), *args[-1][1:]]
    opcheck(func, (*args[:-1], tensors), test_utils=("test_autograd_registration", "test_aot_dispatch_static"))
