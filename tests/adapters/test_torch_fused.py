"""The fused kernels under torch's adapter: emulated, with tensors in memory in place of CUDA's."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from pyjpegdiff import arguments, backends, devices  # noqa: E402
from pyjpegdiff.adapters import _torch_ops as ops  # noqa: E402
from pyjpegdiff.adapters._torch_specs import encode_spec  # noqa: E402
from pyjpegdiff.adapters.torch import LIBRARY, DiffJPEGCoding, diff_jpeg_coding, diff_jpeg_coding_vjp  # noqa: E402
from pyjpegdiff.backends import fused, whole  # noqa: E402
from pyjpegdiff.spec import Spec  # noqa: E402
from pyjpegdiff.stages import color  # noqa: E402
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE  # noqa: E402
from pyjpegdiff.transforms import TRANSFORMS  # noqa: E402
from tests.backends.cuda.emulator import Emulator  # noqa: E402
from tests.photos import photo, pillow  # noqa: E402

FORWARD = ["prepare", "encode_reconstruct", "upsample_convert"]
MODES = [{"ste": False}, {"ste": True}, {"arithmetic": "libjpeg"}]


@pytest.fixture
def emulated(monkeypatch):
    """Have tensors of the host go the way of CUDA's."""
    launch = Emulator()
    monkeypatch.setattr(ops, "_run_numpy", ops._run_torch)
    monkeypatch.setattr(backends, "_is_on_cuda", lambda array: True)
    monkeypatch.setattr(backends, "_by_cupy", lambda: fused.Fused(launch))
    monkeypatch.setattr(backends, "FUSED", True)
    monkeypatch.setattr(devices, "_kept", {})
    return launch


@pytest.fixture
def remote(monkeypatch):
    """Have the host's memory count as a device's."""
    for module in (devices, ops):
        monkeypatch.setattr(module, "is_remote", lambda xp, device: xp is LIBRARY.xp)
    monkeypatch.setattr(devices, "_kept", {})


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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backends, "FUSED", False)
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
    for wish in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(backends, "FUSED", wish)
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


def test_operators_keep_torchs_rules(emulated):
    """What fake tensors are told, in particular, of residuals that are not those of `whole`."""
    tensors = [value.detach() for value in inputs().values()]
    conversion = [torch.tensor(value, dtype=torch.float64) for value in (color.MATRIX, color.OFFSET)]
    spec = encode_spec(Spec(True, "cubic", "identity"))
    call = ("code", spec, (24, 40), True, [*tensors, *conversion])
    torch.library.opcheck(ops.forward_op, call, test_utils=("test_schema", "test_faketensor"))
    assert [residual.dtype for residual in ops.forward_op(*call)[3:]] == [torch.uint8] * 3


def test_compiled(emulated, remote):
    code = torch.compile(lambda **tensors: diff_jpeg_coding(**tensors, ste=True), fullgraph=True)
    mapped = torch.func.vmap(
        lambda image: diff_jpeg_coding(image, 50, [[2 * i + j for j in range(8)] for i in range(8)])
    )
    image = inputs()["image_rgb"].detach()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's own, about its own parts
        got = run(code, inputs())
        together = torch.compile(mapped, fullgraph=True)(image)
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
        call = arguments.coding(LIBRARY, image, 50, **mode)
        every = tuple(name not in ("color_matrix", "color_offset") or not call.spec.exact for name in call.inputs)
        xp, spec, size, tensors = call.xp, call.spec, call.size, tuple(call.inputs.values())
        outputs, residuals = TRANSFORMS["code"].forward(xp, spec, size, tensors, every)
        TRANSFORMS["code"].vjp(xp, spec, size, tensors, residuals, outputs, every)

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
    assert len(devices._kept) >= 4  # two tables, matrix and offset
    for kept in devices._kept.values():
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
    assert devices._kept
    assert not any(kept.is_inference() for kept in devices._kept.values())
    diff_jpeg_coding(image.requires_grad_(), 50.0, ste=True).sum().backward()
    assert image.grad.isfinite().all()


@pytest.mark.parametrize(("value", "wish"), [(None, False), ("0", False), ("1", True)])
def test_the_wish_is_read_when_the_package_is_imported(value, wish):
    environment = {name: text for name, text in os.environ.items() if name != "PYJPEGDIFF_FUSED"}
    if value is not None:
        environment["PYJPEGDIFF_FUSED"] = value
    program = "from pyjpegdiff import backends; print(backends.FUSED)"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(wish)


def test_whole_serves_where_cupy_is_missing(monkeypatch):
    monkeypatch.setattr(backends, "FUSED", True)
    monkeypatch.setattr(backends, "_is_on_cuda", lambda array: True)
    monkeypatch.setattr(backends, "_by_cupy", lambda: None)
    assert backends.select(LIBRARY.xp, Spec(True, "cubic", "identity"), torch.zeros(1)) is whole


def test_fused_kernels_are_asked_for(monkeypatch, emulated):
    """Until they have run on a GPU."""
    spec, own = Spec(True, "cubic", "identity"), Spec(True, (torch.round, torch.ones_like), "identity")
    tensor = torch.zeros(1)
    assert isinstance(backends.select(LIBRARY.xp, spec, tensor), fused.Fused)
    assert backends.select(LIBRARY.xp, own, tensor) is whole
    monkeypatch.setattr(backends, "FUSED", False)
    assert backends.select(LIBRARY.xp, spec, tensor) is whole
