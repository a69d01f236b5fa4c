"""Choosing a backend; and that one class is all it takes to add one."""

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pyjpegdiff import (
    backends,
    diff_jpeg_coding,
    diff_jpeg_coding_vjp,
    jpeg_decode,
    jpeg_decode_vjp,
    jpeg_encode,
    jpeg_encode_vjp,
)
from pyjpegdiff.backends.array_api import ArrayAPI
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.operations import CODE, OPERATIONS
from pyjpegdiff.spec import Spec
from pyjpegdiff.types import ArrayType
from tests.backends.cuda.emulator import EmulatedKernels
from tests.samples import HOST_BACKENDS, MODES, SAMPLINGS, batch_shapes_within, photo_like, problem, spec_of

IMAGE = photo_like(np.random.default_rng(0), (3, 24, 40))


class Toy(ArrayAPI):
    """All it takes: a name, and the methods of a backend; these note which calls reached them."""

    name = "toy"
    automatic = False

    def __init__(self):
        self.calls = []

    def forward(self, operation, plan, size, xp, inputs, needs):
        self.calls.append(("forward", operation.name, plan.backend, threading.get_ident()))
        return super().forward(operation, plan, size, xp, inputs, needs)

    def vjp(self, operation, plan, size, xp, inputs, residuals, cotangents, needs):
        self.calls.append(("vjp", operation.name, plan.backend, threading.get_ident()))
        return super().vjp(operation, plan, size, xp, inputs, residuals, cotangents, needs)

    @property
    def reached(self):
        return [call[:3] for call in self.calls]


@pytest.fixture
def toy():
    backend = Toy()
    backends.register(backend)
    return backend


class Picky(ArrayAPI):
    """Serves grayscale alone, and is not there at all until a test says so."""

    name = "picky"
    automatic = True
    there = False

    def is_available(self):
        return self.there

    def supports(self, spec, xp, device):
        return self.there and spec.sampling is None


# --- one class is all it takes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_every_operation_reaches_a_backend_that_is_one_class(toy, mode):
    with backends.use_backend("toy"):
        coded = diff_jpeg_coding(IMAGE, 50, **mode)
        again, vjp = diff_jpeg_coding_vjp(IMAGE, 50, **mode)
        coefficients = jpeg_encode(IMAGE, 50, **mode)
        _, encode_vjp = jpeg_encode_vjp(IMAGE, 50, **mode)
        decoded = jpeg_decode(coefficients, **mode)
        _, decode_vjp = jpeg_decode_vjp(coefficients, **mode)
    assert toy.reached == [
        ("forward", "code", "toy"), ("forward", "code", "toy"), ("forward", "encode", "toy"),
        ("forward", "encode", "toy"), ("forward", "decode", "toy"), ("forward", "decode", "toy"),
    ]  # fmt: skip
    toy.calls.clear()
    g = vjp(IMAGE).image_rgb
    halves = encode_vjp(decode_vjp(IMAGE).coefficients).image_rgb
    assert toy.reached == [("vjp", "code", "toy"), ("vjp", "decode", "toy"), ("vjp", "encode", "toy")]
    np.testing.assert_array_equal(coded, again)
    np.testing.assert_allclose(decoded, coded, rtol=0, atol=1e-9)
    np.testing.assert_allclose(halves, g, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(coded, diff_jpeg_coding(IMAGE, 50, **mode), rtol=0, atol=1e-9)


def test_it_serves_tensors_too(toy):
    torch = pytest.importorskip("torch")
    image = torch.from_numpy(IMAGE).requires_grad_()
    with backends.use_backend("toy"):
        coded = diff_jpeg_coding(image, 50, ste=True)
        decoded = jpeg_decode(jpeg_encode(image, 50, ste=True), ste=True)
    assert toy.reached == [("forward", "code", "toy"), ("forward", "encode", "toy"), ("forward", "decode", "toy")]
    toy.calls.clear()
    (coded + decoded).sum().backward()
    assert sorted(toy.reached) == [("vjp", "code", "toy"), ("vjp", "decode", "toy"), ("vjp", "encode", "toy")]
    np.testing.assert_allclose(coded.detach().numpy(), diff_jpeg_coding(IMAGE, 50, ste=True), rtol=0, atol=1e-9)


def test_a_call_that_needs_no_gradient_has_no_vjp(toy):
    with backends.use_backend("toy"):
        _, vjp = diff_jpeg_coding_vjp(IMAGE, 50, wrt=())
    assert set(vjp(IMAGE)) == {None}
    assert toy.reached == [("forward", "code", "toy")]


def test_a_backend_that_serves_a_call_by_itself_is_taken_first():
    picky = Picky()
    backends.register(picky)
    assert "picky" not in backends.available()
    gray, color = Spec(True, "cubic", "identity", None), Spec(True, "cubic", "identity")
    assert backends.choose(gray, xp, "cpu") == HOST_BACKENDS[0]
    picky.there = True
    try:
        assert backends.available()[0] == "picky"
        assert backends.choose(gray, xp, "cpu") == "picky"
        assert backends.choose(color, xp, "cpu") == HOST_BACKENDS[0]
    finally:
        picky.there = False


def test_registered_again_replaces():
    first, second = Toy(), Toy()
    backends.register(first)
    backends.register(second)
    assert backends.get("toy") is second
    assert backends.available().count("toy") == 1


# --- names ------------------------------------------------------------------------------------------------------------


def test_available_are_names_that_can_be_used():
    names = backends.available()
    assert {"numpy_strips", "array_api"} <= set(names)
    assert names.index("numpy_strips") < names.index("array_api")
    for name in names:
        with backends.use_backend(name):
            assert backends.get(name).is_available()


@pytest.mark.parametrize("name", ["whole", "", None, 3])
def test_wrong_names(name):
    with pytest.raises(ValueError, match=r"name must be one of \(.*'array_api'.*\), got"), backends.use_backend(name):
        pytest.fail("it must not be used")


@pytest.mark.parametrize("function", [diff_jpeg_coding, diff_jpeg_coding_vjp, jpeg_encode, jpeg_encode_vjp])
def test_a_call_that_the_backend_cannot_serve(function):
    strict = pytest.importorskip("array_api_strict")
    image = strict.asarray(IMAGE.tolist())
    with backends.use_backend("numpy_strips"), pytest.raises(ValueError, match=r"'numpy_strips' cannot serve .*strict"):
        function(image, 50)
    # The next call is not affected.
    assert diff_jpeg_coding(IMAGE, 50).shape == IMAGE.shape


def test_decoding_that_the_backend_cannot_serve():
    strict = pytest.importorskip("array_api_strict")
    coefficients = jpeg_encode(strict.asarray(IMAGE.tolist()), 50)
    for function in (jpeg_decode, jpeg_decode_vjp):
        with backends.use_backend("numpy_strips"), pytest.raises(ValueError, match="backend 'numpy_strips'"):
            function(coefficients)


def test_surrogates_that_the_backend_cannot_serve():
    backends.register(EmulatedKernels())
    with backends.use_backend("emulated"):
        assert diff_jpeg_coding(IMAGE, 50, rounding="sine").shape == IMAGE.shape
        with pytest.raises(ValueError, match=r"'emulated' cannot serve .* custom rounding"):
            diff_jpeg_coding(IMAGE, 50, rounding=(np.round, np.ones_like))


# --- where a choice holds ---------------------------------------------------------------------------------------------


def chosen():
    return backends.choose(Spec(True, "cubic", "identity"), xp, "cpu")


def test_choices_nest():
    assert chosen() == HOST_BACKENDS[0]
    with backends.use_backend("array_api"):
        assert chosen() == "array_api"
        with backends.use_backend("numpy_strips"):
            assert chosen() == "numpy_strips"
        assert chosen() == "array_api"
        with contextlib.suppress(KeyError), backends.use_backend("numpy_strips"):
            raise KeyError
        assert chosen() == "array_api"
    assert chosen() == HOST_BACKENDS[0]


def test_choices_hold_in_their_thread_alone(toy):
    barrier = threading.Barrier(2)

    def call(name):
        with backends.use_backend(name):
            barrier.wait(60)
            coded = diff_jpeg_coding(IMAGE, 50, ste=True)
            barrier.wait(60)
        return coded

    with backends.use_backend("array_api"), ThreadPoolExecutor(3) as pool:
        # A new thread begins without a choice.
        assert pool.submit(chosen).result() == HOST_BACKENDS[0]
        results = list(pool.map(call, ["toy", "numpy_strips"]))
        assert chosen() == "array_api"
    assert toy.reached == [("forward", "code", "toy")]
    np.testing.assert_allclose(results[0], results[1], rtol=0, atol=1e-9)


def test_choices_hold_in_their_task_alone():
    async def call(name):
        before = chosen()
        with backends.use_backend(name):
            await asyncio.sleep(0)
            during = chosen()
            await asyncio.sleep(0)
        return before, during, chosen()

    async def main():
        # A task begins with the choice of the one that made it.
        with backends.use_backend("array_api"):
            return await asyncio.gather(call("numpy_strips"), call("array_api"), call("numpy_strips"))

    assert asyncio.run(main()) == [
        ("array_api", "numpy_strips", "array_api"),
        ("array_api", "array_api", "array_api"),
        ("array_api", "numpy_strips", "array_api"),
    ]


def test_a_vjp_keeps_the_backend_of_its_forward(toy):
    with backends.use_backend("toy"):
        _, vjp = diff_jpeg_coding_vjp(IMAGE, 50)
        _, encode_vjp = jpeg_encode_vjp(IMAGE, 50)
        coefficients, _ = jpeg_encode_vjp(IMAGE, 50)
        _, decode_vjp = jpeg_decode_vjp(coefficients)
    toy.calls.clear()
    outside = vjp(IMAGE).image_rgb
    with backends.use_backend("numpy_strips"):
        under_another = vjp(IMAGE).image_rgb
        encode_vjp(decode_vjp(IMAGE).coefficients)
    with ThreadPoolExecutor(1) as pool:
        elsewhere = pool.submit(vjp, IMAGE).result().image_rgb
    assert [call[1] for call in toy.reached] == ["code", "code", "decode", "encode", "code"]
    np.testing.assert_array_equal(outside, under_another)
    np.testing.assert_array_equal(outside, elsewhere)


def test_a_vjp_of_another_backend_does_not_reach_the_one_named_later(toy):
    _, vjp = diff_jpeg_coding_vjp(IMAGE, 50)
    with backends.use_backend("toy"):
        pulled = vjp(IMAGE).image_rgb
    assert toy.reached == []
    np.testing.assert_array_equal(pulled, vjp(IMAGE).image_rgb)


# --- types of what is returned ----------------------------------------------------------------------------------------


def types_of(arrays):
    return tuple(ArrayType(tuple(x.shape), x.dtype.name) for x in arrays)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sampling", [*SAMPLINGS.values(), None])
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
@pytest.mark.parametrize("backend", [*HOST_BACKENDS, "emulated"])
def test_types_are_those_of_what_is_returned(backend, operation, sampling, mode):
    """Over layouts, dtypes, batch shapes and batch axes of parameters; the VJP's without images and blocks, too."""
    backends.register(EmulatedKernels())
    rng = np.random.default_rng(0)
    spec = spec_of(mode, sampling)
    for batch_shape in ((), (1,), (2, 3), (0,)):
        # float16 and the widest integers last: each dtype meets each batch shape, and layouts in turn.
        for index, dtype in enumerate(("float64", "float32", "float16", "uint8", "uint16")):
            axis = (-3, -1, -2)[index % 3] if sampling else (-3, -1, None)[index % 3]
            white = 65535 if dtype == "uint16" else 255
            case = problem(
                rng, operation, spec, (9, 17), batch_shape, channel_axis=axis, white=white, quality=50,
                dtype="int16" if operation.name == "decode" and dtype.startswith("u") else dtype,
                parameter_dtype=("float32", "float64", "int32")[index % 3],
                batch_shapes=batch_shapes_within(rng, batch_shape),
            )  # fmt: skip
            plan, size, types = case.plan, case.size, case.types
            outputs, residuals = case.forward(backend)
            assert types_of(outputs) == operation.output_types(plan, size, types)
            assert types_of(residuals) == backends.get(backend).residual_types(operation, plan, size, types)
            assert all(residual.ndim == len(batch_shape) + 3 for residual in residuals)
            g = case.cotangents(rng, outputs, size=1e-3)
            pulled = types_of(case.vjp(backend, residuals, g))
            assert pulled == operation.cotangent_types(plan, size, types, batch_shape)
            if case.inputs[0].dtype.kind == "f":
                unread = tuple(
                    None if name in ("image_rgb", "y", "cb", "cr") else type_
                    for name, type_ in zip(operation.inputs, types, strict=False)
                )
                assert pulled == operation.cotangent_types(plan, size, unread, batch_shape)


def test_no_needs_no_residuals():
    backends.register(EmulatedKernels())
    case = problem(np.random.default_rng(0), CODE, spec_of(MODES[1]))
    for backend in (*HOST_BACKENDS, "emulated"):
        assert case.forward(backend, (False,) * 6)[1] == ()
