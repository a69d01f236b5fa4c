"""The CUDA kernels under torch's adapter: emulated, with tensors in the host's memory in place of CUDA's."""

import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from pyjpegdiff import arguments, arrays, backends  # noqa: E402
from pyjpegdiff.adapters.torch import LIBRARY, DiffJPEGCoding, diff_jpeg_coding, diff_jpeg_coding_vjp  # noqa: E402
from pyjpegdiff.backends import use_backend  # noqa: E402
from pyjpegdiff.operations import CODE  # noqa: E402
from pyjpegdiff.spec import Spec  # noqa: E402
from pyjpegdiff.stages import color  # noqa: E402
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE  # noqa: E402
from tests.adapters.tensors import compiled  # noqa: E402
from tests.backends.cuda.emulator import EmulatedKernels  # noqa: E402
from tests.photos import photo, pillow  # noqa: E402
from tests.samples import MODES  # noqa: E402

FORWARD = ["prepare", "encode_reconstruct", "upsample_convert"]


@pytest.fixture
def emulated():
    """Have calls executed by the emulated kernels."""
    backend = EmulatedKernels()
    backends.register(backend)
    with use_backend("emulated"):
        yield backend


def inputs(dtype=torch.float64):
    rng = np.random.default_rng(0)
    image = (rng.uniform(60, 190, (2, 3, 1, 1)) + 6 * rng.standard_normal((2, 3, 24, 40)).cumsum(-1)).clip(0, 255)
    arguments = {
        "image_rgb": image,
        "jpeg_quality": np.array([33.3, 76.7]),
        "quantization_table_y": np.array(LUMINANCE, float),
        "quantization_table_c": np.array([CHROMINANCE, CHROMINANCE]) * 1.1,
    }
    return {name: torch.from_numpy(value).to(dtype).requires_grad_() for name, value in arguments.items()}


def run(function, tensors, **mode):
    coded = function(**tensors, **mode)
    return coded, *torch.autograd.grad(coded.square().sum(), list(tensors.values()))


@pytest.mark.parametrize("mode", MODES)
def test_values_and_gradients_are_those_of_the_core(mode, emulated):
    got = run(diff_jpeg_coding, inputs(), **mode)
    assert emulated.launched == [*FORWARD, "prepare", "code_vjp", "prepare_vjp"]
    with use_backend("array_api"):
        want = run(diff_jpeg_coding, inputs(), **mode)
    assert len(emulated.launched) == 6
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_libjpeg_arithmetic_is_pillows(emulated, dtype, subsampling):
    image = photo("chelsea")[60:161, 80:157]
    for quality in (1, 24, 50, 77, 100):
        tensor = torch.from_numpy(image.copy()).to(dtype)
        coded = diff_jpeg_coding(tensor, quality, arithmetic="libjpeg", subsampling=subsampling, channel_axis=-1)
        np.testing.assert_array_equal(coded.numpy(), pillow(image, quality, subsampling))
    assert emulated.launched == FORWARD * 5


def test_color_gradients(emulated):
    image = inputs()["image_rgb"].detach()
    matrix = torch.tensor(color.MATRIX, dtype=torch.float64)
    wrt = ("image_rgb", "color_matrix")
    results = []
    for name in ("emulated", "array_api"):
        with use_backend(name):
            _, vjp = diff_jpeg_coding_vjp(image, 60, ste=True, color_matrix=matrix, wrt=wrt)
            results.append(vjp(image - 100))
    torch.testing.assert_close(results[0].color_matrix, results[1].color_matrix, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(results[0].image_rgb, results[1].image_rgb, rtol=1e-9, atol=1e-9)
    assert emulated.launched == FORWARD


@pytest.mark.parametrize("mode", MODES)
def test_vmap_of_grad(mode, emulated):
    tensors = {name: value.detach() for name, value in inputs().items()}

    def loss(image, quality):
        return diff_jpeg_coding(image, quality, **mode).square().sum()

    mapped = torch.func.vmap(torch.func.grad(loss, argnums=(0, 1)))
    got = mapped(tensors["image_rgb"], tensors["jpeg_quality"])
    assert "code_vjp" in emulated.launched
    for index in range(2):
        want = torch.func.grad(loss, argnums=(0, 1))(tensors["image_rgb"][index], tensors["jpeg_quality"][index])
        for a, b in zip(got, want, strict=True):
            torch.testing.assert_close(a[index], b, rtol=1e-9, atol=1e-9)


def test_residuals_are_coefficients_and_bits(emulated):
    """Not those of other backends; `torch.library.opcheck` is told the same elsewhere."""

    class Residuals(TorchDispatchMode):
        dtypes = ()

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if func.name() == "pyjpegdiff::forward":
                self.dtypes = [x.dtype for x in result[1:]]
            return result

    with Residuals() as residuals:
        diff_jpeg_coding(**inputs(), ste=True)
    assert residuals.dtypes == [torch.float64] * 2 + [torch.uint8] * 3


def test_compiled(emulated, remote):
    code = compiled(lambda **tensors: diff_jpeg_coding(**tensors, ste=True))
    mapped = torch.func.vmap(
        lambda image: diff_jpeg_coding(image, 50, [[2 * i + j for j in range(8)] for i in range(8)])
    )
    image = inputs()["image_rgb"].detach()
    got = run(code, inputs())
    together = compiled(mapped)(image)
    for a, b in zip(got, run(diff_jpeg_coding, inputs(), ste=True), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    assert emulated.launched.count("code_vjp") == 2
    torch.testing.assert_close(together, mapped(image), rtol=1e-9, atol=1e-9)


# --- nothing waits for the host ---------------------------------------------------------------------------------------


class Spy(TorchDispatchMode):
    """Notes what copies from the host, or looks at a value."""

    FORBIDDEN = ("lift_fresh", "_local_scalar_dense", "nonzero", "index.Tensor", "index_put")

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen += [str(func) for part in self.FORBIDDEN if part in str(func)]
        return func(*args, **(kwargs or {}))


def watched(function):
    with Spy() as spy:
        function()
    return spy.seen


@pytest.mark.parametrize("mode", MODES)
def test_second_calls_send_nothing_and_look_at_nothing(mode, remote):
    image = inputs()["image_rgb"].detach()

    def work():
        with use_backend("array_api"):
            call = arguments.coding(LIBRARY, image, 50, **mode)
        needs = tuple(
            name not in ("color_matrix", "color_offset") or not call.plan.spec.libjpeg for name in call.inputs
        )
        backend = backends.get(call.plan.backend)
        plan, size, xp, tensors = call.plan, call.size, call.xp, tuple(call.inputs.values())
        outputs, residuals = backend.forward(CODE, plan, size, xp, tensors, needs)
        backend.vjp(CODE, plan, size, xp, tensors, residuals, outputs, needs)

    assert "aten.lift_fresh.default" in watched(lambda: torch.asarray([1.0]))
    work()
    assert watched(work) == []


def test_constants_under_transforms_are_plain_tensors(remote):
    image = inputs()["image_rgb"].detach()

    def loss(image):
        return diff_jpeg_coding(image, 50.0, ste=True).square().sum()

    with torch.inference_mode():
        diff_jpeg_coding(image, 50.0, ste=True)
    first = torch.func.grad(loss)(image)
    assert len(arrays.KEPT) >= 4  # two tables, matrix and offset
    for kept in arrays.KEPT.values():
        assert not torch._C._functorch.is_functorch_wrapped_tensor(kept)
        assert not kept.is_inference()
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(loss))(image), first, rtol=1e-9, atol=1e-9)
    parameters = DiffJPEGCoding(ste=True)(image.requires_grad_(), 50.0)
    torch.testing.assert_close(torch.autograd.grad(parameters.square().sum(), image)[0], first, rtol=1e-9, atol=1e-9)


def test_constants_of_compiled_inference_serve_training(remote):
    image = inputs()["image_rgb"].detach()
    code = torch.compile(lambda x: diff_jpeg_coding(x, 50.0, ste=True), fullgraph=True, backend="aot_eager")
    with torch.inference_mode():
        code(image)
    assert arrays.KEPT
    assert not any(kept.is_inference() for kept in arrays.KEPT.values())
    diff_jpeg_coding(image.requires_grad_(), 50.0, ste=True).sum().backward()
    assert image.grad.isfinite().all()


# --- who executes -----------------------------------------------------------------------------------------------------


def chosen(**options):
    """The backend that a call's plan names."""
    return arguments.coding(LIBRARY, inputs()["image_rgb"].detach(), 50, **options).plan.backend


@pytest.mark.parametrize("rounding", ["cubic", (torch.round, torch.ones_like)])
def test_kernels_are_never_chosen_unnamed(rounding, monkeypatch):
    """Until they have run on a GPU; nor does the environment name them."""
    monkeypatch.setenv("PYJPEGDIFF_FUSED", "1")
    backends.register(EmulatedKernels())
    spec = Spec(True, rounding, "identity")
    assert backends.choose(spec, LIBRARY.xp, torch.device("cuda")) == "array_api"


def test_kernels_serve_where_they_are_named(emulated):
    assert chosen() == "emulated"
    with pytest.raises(ValueError, match=r"'emulated' cannot serve .* with a custom rounding"):
        chosen(rounding=(torch.round, torch.ones_like))


def test_kernels_serve_cuda_tensors_alone():
    spec = Spec(True, "cubic", "identity")
    backend = backends.get("cuda_kernels")
    assert backend.supports(spec, LIBRARY.xp, torch.device("cuda"))
    assert not backend.supports(spec, LIBRARY.xp, torch.device("cpu"))
    assert not backend.supports(
        Spec(True, (torch.round, torch.ones_like), "identity"), LIBRARY.xp, torch.device("cuda")
    )


def test_kernels_are_not_available_where_cupy_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert "cuda_kernels" not in backends.available()
    with pytest.raises(ValueError, match="name must be one of"), use_backend("cuda_kernels"):
        pass
