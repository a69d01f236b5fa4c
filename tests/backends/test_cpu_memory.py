"""Where arrays lie: any strides, no byte beyond them, no copy of them, and nothing written to inputs."""

import itertools
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyjpegdiff import backends, diff_jpeg_coding, diff_jpeg_coding_vjp
from pyjpegdiff.backends.cpu_kernels import CpuKernels
from pyjpegdiff.kernels.library import load
from pyjpegdiff.operations import OPERATIONS
from tests.backends.cpu_residuals import unpack
from tests.samples import MODES, photo_like, problem, spec_of

pytestmark = pytest.mark.skipif(load() is None, reason="the compiled library is not there")
BACKEND = CpuKernels()

VIEWS = {
    "backwards": lambda x: x[..., ::-1, ::-1].copy()[..., ::-1, ::-1],
    "every other": lambda x: np.repeat(np.repeat(x, 2, -1), 2, -2)[..., ::2, ::2],
    "transposed": lambda x: np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2),
    "all axes reversed": lambda x: np.ascontiguousarray(x.T).T,
    "within": lambda x: np.pad(x, 3)[(slice(3, -3),) * x.ndim],
    "other bytes": lambda x: x.astype(x.dtype.newbyteorder()),
    "unaligned": lambda x: np.frombuffer(b"." + x.tobytes(), x.dtype, offset=1).reshape(x.shape),
}


def viewed(name, x):
    """The same numbers elsewhere; what has no two axes has no order of them."""
    return VIEWS[name](x) if x.ndim > 1 or name in ("other bytes", "unaligned") else x


def everything(case, inputs, cotangents):
    """Outputs, residuals and cotangents."""
    outputs, residuals = case.forward(BACKEND, inputs=inputs)
    unpacked = unpack(case, residuals)
    return (*outputs, *unpacked, *case.vjp(BACKEND, residuals, cotangents, inputs=inputs))


@pytest.mark.parametrize("view", VIEWS)
@given(
    operation=st.sampled_from(list(OPERATIONS.values())),
    mode=st.sampled_from(MODES),
    batch_shape=st.sampled_from([(), (3,), (2, 3)]),
    axis=st.sampled_from([-3, -1, -2, -4]),
    dtype=st.sampled_from(["float32", "float64", "uint8", "uint16", "float16"]),
    seed=st.integers(0, 99),
)
def test_strides_do_not_matter(view, operation, mode, batch_shape, axis, dtype, seed):
    if axis == -4 and not batch_shape:
        axis = -3
    if operation.name == "decode" and dtype.startswith("u"):
        dtype = "int16"
    rng = np.random.default_rng(seed)
    size = tuple(rng.integers(1, 40, 2).tolist())
    case = problem(
        rng, operation, spec_of(mode), size, batch_shape, channel_axis=axis, dtype=dtype, whole=True,
        white=65535 if dtype == "uint16" else 255,
    )  # fmt: skip
    outputs, _ = case.forward(BACKEND)
    g = case.cotangents(rng, outputs, size=1e-3)
    want = everything(case, case.inputs, g)
    got = everything(case, tuple(viewed(view, x) for x in case.inputs), tuple(viewed(view, x) for x in g))
    for a, b in zip(got, want, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shape", [(4, 3, 1, 1), (4, 1, 24, 40), (1, 3, 24, 1)])
def test_one_pixel_row_or_sample_for_all(shape):
    """Broadcast: strides of zero."""
    small = photo_like(np.random.default_rng(0), shape, np.float32)
    wide = np.broadcast_to(small, (4, 3, 24, 40))
    for a, b in zip(coded(wide), coded(wide.copy()), strict=True):
        np.testing.assert_array_equal(a, b)


def coded(image):
    with backends.use_backend("cpu_kernels"):
        result, vjp = diff_jpeg_coding_vjp(image, 50, ste=True)
        return result, vjp(image).image_rgb


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_written_to_inputs(operation, mode):
    rng = np.random.default_rng(0)
    case = problem(rng, operation, spec_of(mode), (21, 35), (2,), batch_shapes=((2,), (), (1,), (), ()))
    outputs, residuals = case.forward(BACKEND)
    g = case.cotangents(rng, outputs)
    before = [x.copy() for x in (*case.inputs, *residuals, *g)]
    for x in (*case.inputs, *residuals, *g):
        x.flags.writeable = False
    pulled = case.vjp(BACKEND, residuals, g)
    for x, copy in zip((*case.inputs, *residuals, *g), before, strict=True):
        np.testing.assert_array_equal(x, copy)
    again, kept = case.forward(BACKEND)
    made = (*again, *kept, *pulled)
    for a, b in itertools.chain(
        itertools.combinations(made, 2), itertools.product(made, (*case.inputs, *residuals, *g))
    ):
        assert not np.shares_memory(a, b)


GUARDED = """
import ctypes, mmap, sys
import numpy as np
from pyjpegdiff.backends import cpu_call, cpu_kernels
from pyjpegdiff.operations import OPERATIONS
from tests.samples import MODES, problem, spec_of

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
kept = []

def guarded(shape, dtype, at_end):
    "An array directly before or directly after a page that nobody may touch."
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    pages = -(-size // PAGE)
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    whole = np.frombuffer(memory, np.uint8)
    start = whole.ctypes.data
    for page in (start, start + (pages + 1) * PAGE):
        assert libc.mprotect(page, PAGE, 0) == 0
    first = PAGE + (pages * PAGE - size if at_end else 0)
    kept.append((memory, whole))
    return whole[first:first + size].view(dtype).reshape(shape)

class Guarding:
    "NumPy whose new arrays are guarded."
    def __init__(self, at_end):
        self.at_end = at_end
    def __getattr__(self, name):
        return getattr(np, name)
    def empty(self, shape, dtype):
        return guarded(shape if isinstance(shape, tuple) else (shape,), dtype, self.at_end)
    def zeros(self, shape, dtype):
        made = self.empty(shape, dtype)
        made[...] = 0
        return made

def copied(x, at_end):
    made = guarded(x.shape, x.dtype, at_end)
    made[...] = x
    return made

backend = cpu_kernels.CpuKernels()
rng = np.random.default_rng(int(sys.argv[1]))
for at_end in (False, True):
    cpu_call.np = Guarding(at_end)
    for operation in OPERATIONS.values():
        for mode in MODES:
            for sampling in ((1, 1), (1, 2), (2, 1), (2, 2), None):
                for dtype in ("float32", "uint8", "float64", "float16", "uint16"):
                    if operation.name == "decode" and dtype[0] == "u":
                        continue
                    size = tuple(rng.integers(1, 36, 2).tolist())
                    axis = -1 if rng.random() < 0.5 else -3
                    white = 65535 if dtype == "uint16" else 255
                    case = problem(rng, operation, spec_of(mode, sampling), size, (2,), channel_axis=axis, dtype=dtype,
                                   white=white)
                    case = case._replace(inputs=tuple(copied(x, at_end) for x in case.inputs))
                    outputs, residuals = case.forward(backend)
                    g = tuple(copied(x, at_end) for x in case.cotangents(rng, outputs, size=1e-3))
                    case.vjp(backend, residuals, g)
                    for memory, whole in kept:
                        libc.mprotect(whole.ctypes.data, whole.size, 3)
                    kept.clear()
print("untouched")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no mprotect on Windows")
@pytest.mark.parametrize("seed", [0, 1])
def test_no_byte_beyond_an_array_is_touched(seed):
    """Arrays between two pages that nobody may touch, in a process of its own: to touch them would end it."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", GUARDED, str(seed)], capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "untouched"), done.stderr


@pytest.mark.parametrize(("shape", "axis"), [((1024, 1024, 3), -1), ((3, 1024, 1024), -3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_no_copy_of_an_image_is_made(shape, axis, dtype):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    with backends.use_backend("cpu_kernels"):
        diff_jpeg_coding(image, 50, ste=True, channel_axis=axis)
        tracemalloc.start()
        try:
            result = diff_jpeg_coding(image, 50, ste=True, channel_axis=axis)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak - result.nbytes < image.size / 2


def test_tensors_go_through_without_a_copy():
    torch = pytest.importorskip("torch")
    seen = []

    class Recording(CpuKernels):
        name = "recording_kernels"
        automatic = False

        def forward(self, operation, plan, size, xp, inputs, needs):
            seen.append(inputs[0].__array_interface__["data"][0])
            return super().forward(operation, plan, size, xp, inputs, needs)

    backends.register(Recording())
    image = torch.rand(2, 24, 40, 3).mul(255).movedim(-1, -3).requires_grad_()
    with backends.use_backend("recording_kernels"):
        coded = diff_jpeg_coding(image, 50)
        (g,) = torch.autograd.grad(coded.square().sum(), image)
    assert seen == [image.data_ptr()]
    with backends.use_backend("array_api"):
        want = diff_jpeg_coding(image.double(), 50)
        (g_want,) = torch.autograd.grad(want.square().sum(), image)
    np.testing.assert_allclose(coded.detach(), want.detach(), rtol=0, atol=1e-2)
    np.testing.assert_allclose(g, g_want, rtol=0, atol=1e-3 * float(g_want.abs().max()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:4:0", "4:2:0"])
@pytest.mark.parametrize("width", [33, 64])
def test_nothing_is_computed_with_subnormal_numbers_that_were_in_scratch_memory(monkeypatch, dtype, subsampling, width):
    """With those, small images took three times as long. What is left in that memory shows what it had."""
    subnormal, empty, taken = np.array([1, 0, 0, 0, 0, 0, 0, 0], np.uint8), np.empty, []

    def with_subnormal_numbers(shape, dtype):
        made = empty(shape, dtype)
        if made.dtype == np.uint8:
            made[...] = np.resize(subnormal, made.shape)
            taken.append(made)
        return made

    image = np.random.default_rng(0).uniform(0, 255, (3, 40, width)).astype(dtype)
    diff_jpeg_coding(image, 50)  # the first call of all takes other memory, too
    monkeypatch.setattr(np, "empty", with_subnormal_numbers)
    result, vjp = diff_jpeg_coding_vjp(image, 50, subsampling=subsampling, wrt=("image_rgb", "color_matrix"))
    vjp(result)
    scratch = sorted(taken, key=len)[-2:]  # of both passes; of the other one, operands and sums are smaller
    for memory, used in zip(scratch, (1, 2), strict=True):
        start = -memory.ctypes.data % 64
        numbers = memory[start : start + (len(memory) - 64) // 2 * used].view(dtype)
        assert not ((numbers != 0) & (np.abs(numbers) < np.finfo(dtype).tiny)).any()
