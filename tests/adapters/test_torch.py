"""The torch adapter as torch users meet it; the core has been tested elsewhere."""

import copy
import io
import pickle
import threading
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.utils.checkpoint  # noqa: E402
from torch import nn  # noqa: E402

import pyjpegdiff  # noqa: E402
from pyjpegdiff.adapters import _torch_ops as ops  # noqa: E402
from pyjpegdiff.adapters.torch import (  # noqa: E402
    DiffJPEGCoding,
    diff_jpeg_coding,
    diff_jpeg_coding_vjp,
    jpeg_decode,
    jpeg_encode,
)

MODES = [{"ste": False}, {"ste": True}, {"arithmetic": "libjpeg"}]
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    return torch.from_numpy(
        (rng.uniform(60, 190, (2, 3, 1, 1)) + 6 * rng.standard_normal((2, 3, 24, 40)).cumsum(-1)).clip(0, 255)
    )


@pytest.fixture
def on_torch(monkeypatch):
    """Run the core on torch itself, as it is on devices other than the host."""
    monkeypatch.setattr(ops, "_run_numpy", ops._run_torch)


def parameters(dtype=torch.float64):
    rng = np.random.default_rng(1)
    return {
        "jpeg_quality": torch.tensor([33.3, 76.7], dtype=dtype),
        "quantization_table_y": torch.from_numpy(rng.uniform(5, 60, (8, 8))).to(dtype),
        "quantization_table_c": torch.from_numpy(rng.uniform(5, 60, (2, 8, 8))).to(dtype),
        "color_matrix": torch.tensor(pyjpegdiff.stages.color.MATRIX, dtype=dtype) * 1.01,
        "color_offset": torch.tensor([1.0, 127, 129], dtype=dtype),
    }


# --- values and gradients are the core's ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("runner", ["numpy", "torch"])
def test_value_and_gradients_are_the_cores(image, mode, runner, request):
    if runner == "torch":
        request.getfixturevalue("on_torch")
    given = parameters()
    if "arithmetic" in mode:
        del given["color_matrix"], given["color_offset"]
    tensors = {"image_rgb": image, **given}
    for tensor in tensors.values():
        tensor.requires_grad_()
    coded = diff_jpeg_coding(**tensors, **mode)
    g = torch.randn(coded.shape, dtype=coded.dtype, generator=torch.Generator().manual_seed(0))
    pulled = torch.autograd.grad(coded, list(tensors.values()), g)
    arrays = {name: tensor.detach().numpy() for name, tensor in tensors.items()}
    expected, vjp = pyjpegdiff.diff_jpeg_coding_vjp(**arrays, wrt=tuple(arrays), **mode)
    np.testing.assert_allclose(coded.detach(), expected, rtol=0, atol=1e-10)
    for name, got in zip(tensors, pulled, strict=True):
        want = getattr(vjp(g.numpy()), name)
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-10 * np.abs(want).max(), err_msg=name)


def test_plain_functions_hand_tensors_to_the_adapter(image):
    image.requires_grad_()
    coded = pyjpegdiff.diff_jpeg_coding(image, 50)
    (direct,) = torch.autograd.grad(diff_jpeg_coding(image, 50).sum(), image)
    (g,) = torch.autograd.grad(coded.sum(), image)
    assert torch.equal(g, direct)
    decoded = pyjpegdiff.jpeg_decode(pyjpegdiff.jpeg_encode(image, 50))
    (g,) = torch.autograd.grad(decoded.sum(), image)
    torch.testing.assert_close(g, direct)


def test_explicit_vjp_of_tensors(image):
    coded, vjp = pyjpegdiff.diff_jpeg_coding_vjp(image, 50, wrt=("image_rgb", "jpeg_quality"))
    want, want_vjp = pyjpegdiff.diff_jpeg_coding_vjp(image.numpy(), 50, wrt=("image_rgb", "jpeg_quality"))
    np.testing.assert_allclose(coded, want, atol=1e-10)
    pulled, expected = vjp(coded), want_vjp(want)
    np.testing.assert_allclose(pulled.image_rgb, expected.image_rgb, atol=1e-8)
    assert pulled.jpeg_quality.shape == ()


def test_autograd_meets_an_explicit_vjp(image):
    """Right, or an error; never a zero."""
    image.requires_grad_()
    coded, vjp = diff_jpeg_coding_vjp(image, 50)
    (g,) = torch.autograd.grad(coded.sum(), image)
    pulled = vjp(torch.ones_like(coded)).image_rgb
    assert torch.equal(g, pulled.detach())
    with pytest.raises(NotImplementedError, match="second derivatives"):
        pulled.sum().backward()
    explicit = torch.func.grad(lambda x: diff_jpeg_coding_vjp(x, 50)[0].sum())(image.detach())
    assert torch.equal(explicit, g)


@pytest.mark.parametrize("sides", [(8, 8), (9, 5)])
def test_gradcheck(sides):
    rng = np.random.default_rng(3)
    given = parameters()
    image = torch.from_numpy(rng.uniform(30, 220, (2, 3, *sides)))
    inputs = [tensor.requires_grad_() for tensor in (image, *given.values())]

    def code(image, quality, table_y, table_c, matrix, offset):
        return diff_jpeg_coding(image, quality, table_y, table_c, color_matrix=matrix, color_offset=offset)

    # Away from kinks for this seed: a step this small crosses none.
    assert torch.autograd.gradcheck(code, inputs, eps=1e-7, atol=1e-4, rtol=1e-4)


def test_encode_and_decode_are_differentiable(image):
    quality = torch.tensor([30.0, 70.0], dtype=torch.float64, requires_grad=True)
    image.requires_grad_()
    coefficients = jpeg_encode(image, quality, ste=True)
    halves = torch.autograd.grad(jpeg_decode(coefficients, ste=True).square().sum(), (image, quality))
    whole = torch.autograd.grad(diff_jpeg_coding(image, quality, ste=True).square().sum(), (image, quality))
    for a, b in zip(halves, whole, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    (rate,) = torch.autograd.grad(jpeg_encode(image, quality).y.abs().sum(), quality)
    assert (rate != 0).all()


def test_gray(image):
    gray = image[:, :1].requires_grad_()
    diff_jpeg_coding(gray, 50, ste=True).sum().backward()
    coefficients = jpeg_encode(gray, 50)
    assert coefficients.cb is None
    assert jpeg_decode(coefficients).shape == gray.shape


# --- dtypes, devices, precision ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mode", MODES)
def test_dtype_and_device(image, dtype, device, mode):
    image = image.to(device, dtype).requires_grad_()
    quality = torch.tensor([40.0, 60.0], device=device, dtype=dtype, requires_grad=True)
    coded = diff_jpeg_coding(image, quality, **mode)
    coded.float().square().mean().backward()
    for result in (coded, image.grad, quality.grad):
        assert result.dtype == dtype
        assert result.device.type == device
        assert torch.isfinite(result).all()
    if dtype != torch.float64:
        wide = diff_jpeg_coding(image.detach().float(), quality.detach().float(), **mode)
        assert torch.equal(coded, wide.to(dtype))


@pytest.mark.parametrize("device", DEVICES)
def test_uint8_and_float_are_bit_identical_to_the_core_in_libjpeg_arithmetic(image, device):
    pixels = image.round().to(torch.uint8)
    want = pyjpegdiff.diff_jpeg_coding(pixels.numpy(), 60, arithmetic="libjpeg")
    for dtype in (torch.uint8, torch.float32, torch.float64):
        got = diff_jpeg_coding(pixels.to(device, dtype), 60, arithmetic="libjpeg")
        assert np.count_nonzero(got.cpu().numpy() != want) == 0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("mode", MODES)
def test_autocast_and_reduced_precision_change_nothing(image, mode, device, on_torch):
    image = image.float().to(device).requires_grad_()

    def run():
        coded = diff_jpeg_coding(image, 50, **mode)
        (g,) = torch.autograd.grad(coded.square().sum(), image)
        return coded.detach(), g

    expected = run()
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast(device, dtype=torch.bfloat16):
            got = run()
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == torch.float32
        assert torch.equal(a, b)


@pytest.mark.parametrize("mode", MODES)
def test_meta_tensors_have_shapes(image, mode):
    """Nor does anything look at a value: there is none."""
    image = image.to("meta").requires_grad_()
    coded = diff_jpeg_coding(image, 50, **mode)
    (g,) = torch.autograd.grad(coded.sum(), image)
    assert (coded.shape, g.shape, g.device.type) == (image.shape, image.shape, "meta")


@pytest.mark.skipif(not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="torch has one interface yet")
def test_precision_that_was_set_for_a_backend_alone(image, on_torch):
    """By the interface that refuses to be mixed with the other."""
    want = diff_jpeg_coding(image.float(), 50)
    backends = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "tf32"
        assert torch.equal(diff_jpeg_coding(image.float(), 50), want)
        assert [backend.fp32_precision for backend in backends] == ["tf32", "tf32"]
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision


@pytest.mark.skipif(not hasattr(torch.backends, "fp32_precision"), reason="torch has one interface yet")
def test_precision_that_was_set_for_all_backends_is_still_that_of_all(image, on_torch):
    backends = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
    before = torch.backends.fp32_precision
    try:
        for backend in backends:
            backend.fp32_precision = "none"
        torch.backends.fp32_precision = "tf32"
        diff_jpeg_coding(image.float(), 50)
        assert [backend.fp32_precision for backend in backends] == ["tf32", "tf32"]
        torch.backends.fp32_precision = "ieee"
        assert [backend.fp32_precision for backend in backends] == ["ieee", "ieee"]
    finally:
        torch.backends.fp32_precision = before


def test_precision_is_restored_after_calls_from_many_threads(image, on_torch):
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        threads = [threading.Thread(target=diff_jpeg_coding, args=(image.float(), 50)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


# --- shapes, strides, arguments ---------------------------------------------------------------------------------------


def test_integer_tables_and_quality_a_sample(image):
    table = torch.randint(1, 256, (8, 8), generator=torch.Generator().manual_seed(0))
    quality = torch.tensor([20, 80])
    batch = diff_jpeg_coding(image, quality, table, table)
    for index in range(2):
        one = diff_jpeg_coding(image[index], int(quality[index]), table, table.double())
        torch.testing.assert_close(batch[index], one, rtol=0, atol=1e-10)


def test_strides_do_not_matter(image):
    image = image.float()
    want = diff_jpeg_coding(image, 50)
    (want_g,) = torch.autograd.grad(diff_jpeg_coding(image.requires_grad_(), 50).sum(), image)
    for other in (
        image.detach().to(memory_format=torch.channels_last),
        image.detach().repeat_interleave(2, -1)[..., ::2],
        image.detach().transpose(-1, -2).contiguous().transpose(-1, -2),
    ):
        other.requires_grad_()
        coded = diff_jpeg_coding(other, 50)
        assert torch.equal(coded, want)
        (g,) = torch.autograd.grad(coded.sum(), other)  # an expanded cotangent
        torch.testing.assert_close(g, want_g)
    weights = torch.linspace(0, 1, image.shape[-2]).expand(2, 3, image.shape[-1], -1).transpose(-1, -2)
    (g,) = torch.autograd.grad(diff_jpeg_coding(image, 50), image, weights)
    (same,) = torch.autograd.grad(diff_jpeg_coding(image, 50), image, weights.contiguous())
    assert torch.equal(g, same)


def test_expanded_image_and_empty_batch(image):
    one = image[:1].expand(4, -1, -1, -1).requires_grad_()
    diff_jpeg_coding(one, torch.full((4,), 50.0)).sum().backward()
    empty = torch.zeros(0, 3, 8, 8, requires_grad=True)
    quality = torch.zeros(0, requires_grad=True)
    coded = diff_jpeg_coding(empty, quality)
    coded.sum().backward()
    assert coded.shape == empty.shape == empty.grad.shape
    assert quality.grad.shape == (0,)


def test_retain_graph_and_writing_to_the_output(image):
    image.requires_grad_()
    coded = diff_jpeg_coding(image, 50)
    (first,) = torch.autograd.grad(coded.sum(), image, retain_graph=True)
    with torch.no_grad():
        coded.zero_()
    (second,) = torch.autograd.grad(coded.sum(), image)
    assert torch.equal(first, second)


def test_an_input_written_to_before_backward_raises(image):
    table = torch.full((8, 8), 20.0, dtype=torch.float64)
    image.requires_grad_()
    coded = diff_jpeg_coding(image, 50, table)
    table.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        coded.sum().backward()


def test_no_gradient_nobody_asked_for(image, monkeypatch):
    asked = []
    original = ops.vjp_op

    def spy(*args):
        asked.append(args[3])
        return original(*args)

    monkeypatch.setattr(ops, "vjp_op", spy)
    quality = torch.tensor([30.0, 70.0], requires_grad=True)
    diff_jpeg_coding(image, quality).sum().backward()
    assert [tuple(a) for a in asked] == [(False, True, False, False, False, False)]
    assert quality.grad is not None
    asked.clear()
    with torch.no_grad():
        assert not diff_jpeg_coding(image, quality).requires_grad
    assert not diff_jpeg_coding(image, 50).requires_grad
    assert asked == []


def test_unused_outputs_get_no_cotangent(image):
    image.requires_grad_()
    (from_y,) = torch.autograd.grad(jpeg_encode(image, 50).cb.sum(), image)
    assert torch.isfinite(from_y).all()
    assert jpeg_encode(image, 50).steps_y.shape == (8, 8)


def test_own_surrogates_meet_tensors(image):
    pair = (torch.clone, torch.ones_like)
    image.requires_grad_()
    ours = diff_jpeg_coding(image, 50, rounding=pair)
    theirs = diff_jpeg_coding(image, 50, rounding="identity")
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)
    for result in (ours, theirs):
        result.sum().backward()


# --- the module -------------------------------------------------------------------------------------------------------


def test_module(image):
    module = DiffJPEGCoding(ste=True)
    quality = torch.tensor([30.0, 70.0])
    assert torch.equal(module(image_rgb=image, jpeg_quality=quality), diff_jpeg_coding(image, quality, ste=True))
    assert "ste=True" in repr(module)
    assert list(module.parameters()) == []


def test_module_tables_train_save_copy_and_move(image):
    table = nn.Parameter(torch.full((8, 8), 20.0))
    module = DiffJPEGCoding(ste=True, quantization_table_y=table, quantization_table_c=torch.full((8, 8), 30.0))
    module(image.float(), 50).square().mean().backward()
    assert table.grad.abs().sum() > 0
    assert set(module.state_dict()) == {"quantization_table_y", "quantization_table_c"}
    assert [name for name, _ in module.named_parameters()] == ["quantization_table_y"]
    want = module(image, 50)
    saved = io.BytesIO()
    torch.save(module.state_dict(), saved)
    saved.seek(0)
    other = DiffJPEGCoding(
        ste=True, quantization_table_y=nn.Parameter(torch.ones(8, 8)), quantization_table_c=torch.ones(8, 8)
    )
    other.load_state_dict(torch.load(saved))
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), other):
        assert torch.equal(twin(image, 50), want)
    assert copy.deepcopy(module).double().quantization_table_y.dtype == torch.float64
    own = torch.full((8, 8), 5.0)
    assert torch.equal(module(image, 50, own, own), diff_jpeg_coding(image, 50, own, own, True))


def test_module_checks_its_choices():
    with pytest.raises(ValueError, match="subsampling"):
        DiffJPEGCoding(subsampling="4:3:2")
    with pytest.raises(TypeError, match="quantization_table_y"):
        DiffJPEGCoding(quantization_table_y=[[1.0] * 8] * 8)
    with pytest.raises(ValueError, match="color_matrix"):
        DiffJPEGCoding(arithmetic="libjpeg", color_matrix=torch.eye(3))


# --- compilers and transforms -----------------------------------------------------------------------------------------


def compiled(function, **options):
    torch._dynamo.reset()
    return torch.compile(function, fullgraph=True, **options)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("mode", MODES)
def test_compile_without_graph_breaks(image, mode, device):
    image = image.float().to(device).requires_grad_()
    quality = torch.tensor([30.0, 70.0], device=device, requires_grad=True)

    def loss(image, quality):
        return diff_jpeg_coding(image * 1.0, quality, **mode).square().mean()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's own, about its own parts
        got = torch.autograd.grad(compiled(loss)(image, quality), (image, quality))
        if "arithmetic" in mode:
            coded = compiled(lambda x: diff_jpeg_coding(x, 60, **mode))(image)
            assert torch.equal(coded, diff_jpeg_coding(image, 60, **mode))
    want = torch.autograd.grad(loss(image, quality), (image, quality))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_compile_warns_of_nothing_of_ours_and_takes_several_numbers(image):
    image = image.float().requires_grad_()
    code = compiled(DiffJPEGCoding(ste=True))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for quality in (50, 51, 52.5):
            got = code(image, quality)
            assert torch.equal(got, diff_jpeg_coding(image, quality, ste=True))
        got.sum().backward()
    assert not [str(warning.message) for warning in told if "pyjpegdiff" in str(warning.message)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing(image, mode, reentrant):
    image = image.requires_grad_()

    def loss(image):
        return diff_jpeg_coding(image, 60, **mode).square().sum()

    torch.utils.checkpoint.checkpoint(loss, image, use_reentrant=reentrant).backward()
    assert torch.equal(image.grad, torch.autograd.grad(loss(image), image)[0])


def test_compile_the_module_encode_decode_and_new_sizes(image):
    module = DiffJPEGCoding(ste=True, quantization_table_y=nn.Parameter(torch.full((8, 8), 20.0)))

    def both(image):
        return module(image, 50) + jpeg_decode(jpeg_encode(image, 50, arithmetic="libjpeg"), arithmetic="libjpeg")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fast = compiled(both)
        for height in (24, 17, 9):
            part = image[..., :height, :].float()
            torch.testing.assert_close(fast(part), both(part), rtol=0, atol=1e-3)
            (g,) = torch.autograd.grad(fast(part).sum(), module.quantization_table_y)
            assert g.abs().sum() > 0


def test_compiled_own_surrogates(image):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fast = compiled(lambda x: diff_jpeg_coding(x, 50, rounding=(torch.abs, torch.sign)))
        want = diff_jpeg_coding(image.float(), 50, rounding=(torch.abs, torch.sign))
        torch.testing.assert_close(fast(image.float()), want)


def func_loss(image, quality):
    return diff_jpeg_coding(image, quality, ste=True).square().sum()


@pytest.mark.parametrize("runner", ["numpy", "torch"])
def test_func_grad_and_vmap_of_it(image, runner, request):
    if runner == "torch":
        request.getfixturevalue("on_torch")
    quality = torch.tensor([30.0, 70.0], dtype=torch.float64)
    by_sample = torch.func.vmap(torch.func.grad(func_loss, argnums=(0, 1)))(image, quality)
    for index in range(2):
        one = torch.func.grad(func_loss, argnums=(0, 1))(image[index], quality[index])
        for batch, single in zip(by_sample, one, strict=True):
            torch.testing.assert_close(batch[index], single, rtol=1e-10, atol=1e-8)
    leaf = image[0].clone().requires_grad_()
    (g,) = torch.autograd.grad(func_loss(leaf, quality[0]), leaf)
    torch.testing.assert_close(by_sample[0][0], g, rtol=1e-10, atol=1e-8)


def test_vmap_over_each_argument_alone(image):
    given = parameters()
    rng = np.random.default_rng(5)
    for name, value in {"image_rgb": image[0], **given}.items():
        value = value[:1] if name in ("jpeg_quality", "quantization_table_c") else value
        stack = torch.stack([value * (1 + 0.1 * rng.uniform()) for _ in range(3)], -1)
        fixed = {
            "image_rgb": image,
            **given,
            "jpeg_quality": given["jpeg_quality"][:1],
            "quantization_table_c": given["quantization_table_c"][:1],
        }
        if name == "image_rgb":
            fixed["image_rgb"], fixed["jpeg_quality"], fixed["quantization_table_c"] = (
                image[0],
                torch.tensor(50.0),
                given["quantization_table_y"],
            )

        def loss(value, name=name, fixed=fixed):
            return diff_jpeg_coding(**{**fixed, name: value}).square().mean()

        got = torch.func.vmap(torch.func.grad(loss), in_dims=-1)(stack)
        for index in range(3):
            want = torch.func.grad(loss)(stack[..., index].contiguous())
            torch.testing.assert_close(got[index], want, rtol=1e-8, atol=1e-10, msg=name)


def test_vmap_of_encode_and_decode(image):
    quality = torch.tensor([30.0, 70.0], dtype=torch.float64)

    def rate(image, quality):
        coefficients = jpeg_encode(image, quality)
        return coefficients.y.square().sum() + coefficients.steps_c.sum() + jpeg_decode(coefficients).mean()

    batch = torch.func.vmap(torch.func.grad(rate, argnums=1))(image, quality)
    steps = torch.func.vmap(lambda x, q: jpeg_encode(x, q).steps_y)(image, quality)
    assert steps.shape == (2, 8, 8)
    lead = torch.func.vmap(lambda x: jpeg_encode(x[None], 50).steps_y)(image)
    assert lead.shape == (2, 8, 8)
    for index in range(2):
        torch.testing.assert_close(batch[index], torch.func.grad(rate, argnums=1)(image[index], quality[index]))


def test_jacrev(image):
    quality = torch.tensor(40.0, dtype=torch.float64)

    def corner(quality):
        return diff_jpeg_coding(image[0], quality, ste=True)[:, :2, :2]

    jacobian = torch.func.jacrev(corner)(quality)
    leaf = quality.clone().requires_grad_()
    rows = [torch.autograd.grad(y, leaf, retain_graph=True)[0] for y in corner(leaf).flatten()]
    torch.testing.assert_close(jacobian.flatten(), torch.stack(rows))


@pytest.mark.parametrize("loss", [torch.sum, lambda y: y.square().sum()])
def test_second_derivatives_raise(image, loss):
    leaf = image[0].requires_grad_()
    (g,) = torch.autograd.grad(loss(diff_jpeg_coding(leaf, 50)), leaf, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        torch.autograd.grad(g.sum(), leaf)
    function = lambda x: loss(diff_jpeg_coding(x, 50))
    with pytest.raises((NotImplementedError, RuntimeError)):
        torch.func.grad(lambda x: torch.func.grad(function)(x).sum())(image[0].detach())


def test_forward_mode_raises(image):
    x = image[0].detach()
    with pytest.raises((NotImplementedError, RuntimeError)):
        torch.func.jvp(lambda x: diff_jpeg_coding(x, 50), (x,), (x,))
    with torch.autograd.forward_ad.dual_level(), pytest.raises((NotImplementedError, RuntimeError)):
        diff_jpeg_coding(torch.autograd.forward_ad.make_dual(x, x), 50)


def test_compile_of_functional_transforms(image):
    """Right, or an error; never a zero."""
    x, quality = image.float(), torch.tensor([30.0, 70.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gradient = torch.func.grad(func_loss, argnums=(0, 1))
        for got, want in zip(compiled(gradient)(x[0], quality[0]), gradient(x[0], quality[0]), strict=True):
            torch.testing.assert_close(got, want)
        mapped = torch.func.vmap(diff_jpeg_coding)
        torch.testing.assert_close(compiled(mapped)(x, quality), mapped(x, quality))
        with pytest.raises(Exception, match="does not have vmap support"):
            compiled(torch.func.vmap(gradient))(x, quality)


def test_fake_tensors_tell_shapes_and_strides(image):
    from torch.library import opcheck

    from pyjpegdiff.adapters._torch_specs import encode_spec

    call = pyjpegdiff.arguments.coding(pyjpegdiff.adapters.torch.LIBRARY, image, 50)
    text = encode_spec(call.spec)
    tensors = list(call.inputs.values())
    utils = ("test_schema", "test_faketensor")
    opcheck(ops.forward_op, ("code", text, list(call.size), True, tensors), test_utils=utils)
    image_out, *residuals = ops.forward_op("code", text, list(call.size), True, tensors)
    asked, counts = [True] * 6, [6, len(residuals)]
    arguments = ("code", text, list(call.size), asked, counts, [*tensors, *residuals, image_out])
    opcheck(ops.vjp_op, arguments, test_utils=utils)
