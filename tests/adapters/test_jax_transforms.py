"""The JAX adapter under JAX's transformations: right, or an error, and never a gradient that is silently zero."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax.sharding import AxisType, NamedSharding  # noqa: E402
from jax.sharding import PartitionSpec as P  # noqa: E402

import pyjpegdiff  # noqa: E402
from pyjpegdiff import diff_jpeg_coding, jpeg_decode, jpeg_encode  # noqa: E402
from pyjpegdiff.adapters.jax import Coefficients  # noqa: E402
from tests.samples import photo_like  # noqa: E402

# Away from ties: XLA fuses otherwise than NumPy computes, and next to one the last bit decides.
IMAGES = photo_like(np.random.default_rng(5), (2, 3, 16, 24), np.float32)
QUALITY = 33.3


def code(images, quality):
    return diff_jpeg_coding(images, quality, ste=True)


def loss(images, quality):
    return (code(images, quality) ** 2).mean()


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(IMAGES)


@pytest.fixture(scope="module")
def gradients():
    """Of the loss, by NumPy in float64."""
    coded, vjp = pyjpegdiff.diff_jpeg_coding_vjp(
        IMAGES.astype(np.float64), QUALITY, ste=True, wrt=("image_rgb", "jpeg_quality")
    )
    return vjp(2 * coded / coded.size)[:2]


def assert_gradients(got, want):
    """As near as sums of some 10^3 float32 products are."""
    for g, exact in zip(got, want, strict=True):
        assert np.abs(exact).max() > 0
        np.testing.assert_allclose(g, exact, rtol=0, atol=1e-4 * np.abs(exact).max())


# --- compiling and differentiating ------------------------------------------------------------------------------------


def scanned(images, quality):
    """The loss of each image in turn."""
    _, losses = jax.lax.scan(lambda carry, image: (carry, loss(image, quality)), 0.0, images)
    return losses.mean()


TRANSFORMS = {
    "grad": lambda: jax.grad(loss, (0, 1)),
    "jit-grad": lambda: jax.jit(jax.grad(loss, (0, 1))),
    "grad-jit": lambda: jax.grad(jax.jit(loss), (0, 1)),
    "value_and_grad": lambda: lambda *given: jax.value_and_grad(loss, (0, 1))(*given)[1],
    "jacrev": lambda: jax.jacrev(loss, (0, 1)),
    "checkpoint": lambda: jax.grad(jax.checkpoint(loss), (0, 1)),
    "scan": lambda: jax.jit(jax.grad(scanned, (0, 1))),
    "map": lambda: jax.grad(lambda x, q: jax.lax.map(lambda image: loss(image, q), x).mean(), (0, 1)),
    "vmap inside": lambda: jax.grad(lambda x, q: jax.vmap(loss, (0, None))(x, q).mean(), (0, 1)),
    "cond": lambda: jax.grad(lambda x, q: jax.lax.cond(q > 1, loss, lambda x, q: 0.0, x, q), (0, 1)),
    "one by one": lambda: lambda *given: (jax.grad(loss, 0)(*given), jax.grad(loss, 1)(*given)),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_gradients(transform, images, gradients):
    assert_gradients(TRANSFORMS[transform]()(images, jnp.asarray(QUALITY)), gradients)


def test_gradients_by_each_backend(images, gradients, of_jax):
    """Under several transformations at once."""

    def mean_loss(images, quality):
        step = jax.checkpoint(lambda total, image: (total + jax.vmap(loss, (0, None))(image[None], quality)[0], None))
        return jax.lax.scan(step, 0.0, images)[0] / len(images)

    assert_gradients(jax.jit(jax.grad(mean_loss, (0, 1)))(images, jnp.asarray(QUALITY)), gradients)


def test_jacobian_of_the_image(images):
    jacobian = jax.jacrev(code, 1)(images[0], QUALITY)
    wanted = [jax.vjp(lambda q: code(images[0], q), QUALITY)[1](c)[0] for c in _cotangents(images[0].shape)]
    got = [jnp.vdot(c, jacobian) for c in _cotangents(images[0].shape)]
    np.testing.assert_allclose(got, wanted, rtol=1e-4)


def _cotangents(shape):
    rng = np.random.default_rng(3)
    return [jnp.asarray(rng.uniform(0, 1, shape), jnp.float32) for _ in range(2)]


# --- forward mode and second derivatives ------------------------------------------------------------------------------


def explicit(images):
    """A sum of gradients, whose own gradient would be second."""
    return pyjpegdiff.diff_jpeg_coding_vjp(images, 50, ste=True)[1](images).image_rgb.sum()


SECOND = {
    "grad-grad": lambda x, q: jax.grad(jax.grad(loss, 1), 1)(x, q),
    "jit": lambda x, q: jax.jit(jax.grad(jax.grad(loss, 1), 1))(x, q),
    "jit inside": lambda x, q: jax.grad(jax.jit(jax.grad(loss, 1)), 1)(x, q),
    "jacrev": lambda x, q: jax.jacrev(jax.jacrev(loss, 1), 1)(x, q),
    "penalty": lambda x, q: jax.grad(lambda q: (jax.grad(loss)(x, q) ** 2).sum())(q),
    "scan": lambda x, q: jax.grad(lambda q: jax.lax.scan(lambda c, y: (jax.grad(loss, 1)(y, c), None), q, x)[0])(q),
    "checkpoint": lambda x, q: jax.grad(jax.checkpoint(lambda q: jax.grad(loss, 1)(x, q)))(q),
    "vmap": lambda x, q: jax.vmap(jax.grad(jax.grad(loss, 1), 1), (None, 0))(x, q[None]),
    "of cotangents": lambda x, q: jax.grad(lambda c: (jax.vjp(lambda x: code(x, q), x)[1](c)[0] ** 2).sum())(x),
    "explicit": lambda x, q: jax.grad(explicit)(x),
}
FORWARD = {
    "jvp": lambda x, q: jax.jvp(loss, (x, q), (x, q)),
    "jit-jvp": lambda x, q: jax.jit(lambda x, q: jax.jvp(loss, (x, q), (x, q)))(x, q),
    "jacfwd": lambda x, q: jax.jacfwd(loss, 1)(x, q),
    "hessian": lambda x, q: jax.hessian(loss, 1)(x, q),
    "linearize": lambda x, q: jax.linearize(loss, x, q)[1](x, q),
}


@pytest.mark.parametrize("case", SECOND)
def test_second_derivatives_raise(case, images):
    for _ in range(2):  # and what failed once leaves nothing behind
        with pytest.raises(NotImplementedError, match="second derivatives are not supported"):
            SECOND[case](images, jnp.asarray(QUALITY))


@pytest.mark.parametrize("case", FORWARD)
def test_forward_mode_raises(case, images):
    for _ in range(2):
        with pytest.raises(TypeError, match="forward-mode"):
            FORWARD[case](images, jnp.asarray(QUALITY))


def test_first_derivatives_after_second_ones_that_raised(images, gradients):
    for case in ("penalty", "grad-grad", "penalty"):
        with pytest.raises(NotImplementedError):
            SECOND[case](images, jnp.asarray(QUALITY))
        assert_gradients([jax.grad(loss, n)(images, jnp.asarray(QUALITY)) for n in (1, 0)], gradients[::-1])


def test_explicit_vjp_beside_autodiff(images, gradients):
    """A gradient that only accompanies the loss is no second derivative."""

    def with_gradient(images):
        coded, vjp = pyjpegdiff.diff_jpeg_coding_vjp(images, QUALITY, ste=True)
        return (coded**2).mean(), vjp(2 * coded / coded.size).image_rgb

    (_, explicit), g = jax.jit(jax.value_and_grad(with_gradient, has_aux=True))(images)
    assert_gradients((explicit, g), (gradients[0], gradients[0]))


# --- vmap -------------------------------------------------------------------------------------------------------------

TABLES = np.random.default_rng(5).uniform(5, 60, (2, 8, 8)).astype(np.float32)


@pytest.mark.parametrize("in_axes", [(0, None, None), (None, 0, None), (None, None, 0), (1, 0, None), (-1, 0, 2)])
@pytest.mark.parametrize("mode", [{"ste": True}, {"arithmetic": "libjpeg"}], ids=str)
def test_vmap_over_any_argument(in_axes, mode):
    def function(image, quality, table):
        return diff_jpeg_coding(image, quality, table, **mode)

    given = (IMAGES, np.array([30, 80], np.float32), TABLES)
    one = [x if axis is not None else x[0] for x, axis in zip(given, in_axes, strict=True)]
    want = np.stack(
        [function(*[x if a is None else x[n] for x, a in zip(one, in_axes, strict=True)]) for n in range(2)]
    )
    moved = [jnp.asarray(x if axis is None else np.moveaxis(x, 0, axis)) for x, axis in zip(one, in_axes, strict=True)]
    got = jax.vmap(function, in_axes)(*moved)
    assert (np.asarray(got) != want).sum() <= (0 if "arithmetic" in mode else 3 * 16 * 16)


def test_vmap_of_gradients(images, gradients):
    """Each has its own gradient of what they share."""
    one_by_one = jax.jit(jax.vmap(jax.grad(loss, (0, 1)), (0, None)))(images, QUALITY)
    assert_gradients((one_by_one[0] / 2, one_by_one[1].mean()), gradients)


# --- coefficients as a pytree -----------------------------------------------------------------------------------------


def test_coefficients_are_a_pytree(images):
    coefficients = jax.jit(lambda x: jpeg_encode(x, 50, subsampling="4:2:2"))(images)
    assert isinstance(coefficients, Coefficients)
    assert (coefficients.size, coefficients.subsampling) == ((16, 24), "4:2:2")
    leaves, structure = jax.tree.flatten(coefficients)
    assert len(leaves) == 5
    assert structure != jax.tree.structure(coefficients._replace(size=(15, 24)))
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(coefficients)]
    assert names == [".y", ".cb", ".cr", ".steps_y", ".steps_c"]
    decoded = jax.jit(jpeg_decode)(coefficients)
    np.testing.assert_allclose(decoded, diff_jpeg_coding(images, 50, subsampling="4:2:2"), atol=1e-3)
    g = jax.grad(lambda c: jpeg_decode(c).sum())(coefficients)
    assert isinstance(g, Coefficients)
    assert g.subsampling == "4:2:2"


def test_vmap_returns_coefficients(images):
    mapped = jax.vmap(lambda image: jpeg_encode(image, 50, arithmetic="libjpeg"))(images)
    assert mapped.steps_y.shape == (2, 8, 8)
    assert jnp.array_equal(mapped.y, jpeg_encode(images, 50, arithmetic="libjpeg").y)
    decoded = jax.vmap(lambda c: jpeg_decode(c, arithmetic="libjpeg"))(mapped)
    assert jnp.array_equal(decoded, diff_jpeg_coding(images, 50, arithmetic="libjpeg"))
    _, in_turn = jax.lax.scan(lambda carry, c: (carry, jpeg_decode(c, arithmetic="libjpeg")), 0, mapped)
    assert jnp.array_equal(in_turn, decoded)


# --- several devices --------------------------------------------------------------------------------------------------

needs_two = pytest.mark.skipif(jax.device_count() < 2, reason="one device")


@pytest.fixture
def mesh():
    return jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Auto,))


@needs_two
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_shard_map(mesh, images, gradients, compiled):
    specs = {"mesh": mesh, "in_specs": (P("batch"), P())}
    coded = jax.shard_map(lambda x, q: code(x, q), **specs, out_specs=P("batch"))
    grad = jax.grad(lambda x, q: (coded(x, q) ** 2).mean(), (0, 1))
    per_device = jax.shard_map(jax.grad(lambda x, q: loss(x, q) / 2, (0, 1)), **specs, out_specs=(P("batch"), P()))
    sharded = jax.device_put(images, NamedSharding(mesh, P("batch")))
    for function in (grad, per_device):
        got = (jax.jit(function) if compiled else function)(sharded, jnp.asarray(QUALITY))
        assert_gradients(got, gradients)
    assert (coded(sharded, QUALITY) != jax.jit(lambda x: code(x, QUALITY))(images)).sum() == 0


@needs_two
def test_shard_map_by_each_backend(mesh, images, gradients, of_jax):
    def mean_loss(images, quality):
        return jax.lax.pmean(loss(images, quality), "batch")

    mapped = jax.shard_map(mean_loss, mesh=mesh, in_specs=(P("batch"), P()), out_specs=P())
    assert_gradients(jax.jit(jax.grad(mapped, (0, 1)))(images, jnp.asarray(QUALITY)), gradients)


@needs_two
def test_gradients_in_turn_in_shard_map(mesh, images, gradients):
    """One, then the other, and second ones that raise in between."""
    coded = jax.shard_map(code, mesh=mesh, in_specs=(P("batch"), P()), out_specs=P("batch"))
    sharded, quality = jax.device_put(images, NamedSharding(mesh, P("batch"))), jnp.asarray(QUALITY)

    def first(n):
        return jax.grad(lambda x, q: (coded(x, q) ** 2).mean(), n)

    for n in (0, 1, 0):
        assert_gradients([first(n)(sharded, quality)], [gradients[n]])
        with pytest.raises(NotImplementedError, match="second derivatives"):
            jax.grad(lambda q: (first(n)(sharded, q) ** 2).sum())(quality)


@needs_two
def test_sharded_arrays_under_jit(mesh, images, gradients):
    sharded = jax.device_put(images, NamedSharding(mesh, P("batch")))
    assert_gradients(jax.jit(jax.grad(loss, (0, 1)))(sharded, QUALITY), gradients)


@needs_two
@pytest.mark.skipif(not hasattr(jax, "pmap"), reason="this JAX has no pmap")
def test_pmap(images, gradients):
    got = jax.pmap(jax.grad(loss, (0, 1)), in_axes=(0, None))(images, QUALITY)
    assert_gradients((got[0] / 2, got[1].mean()), gradients)


@needs_two
def test_second_device(images):
    there = jax.device_put(images, jax.devices()[1])
    assert code(there, 50).devices() == {jax.devices()[1]}


# --- nothing but XLA --------------------------------------------------------------------------------------------------


def test_nothing_calls_back_to_the_host(images):
    for function in (code, jax.grad(loss, (0, 1)), lambda x, q: diff_jpeg_coding(x, q, arithmetic="libjpeg")):
        text = str(jax.make_jaxpr(function)(images, QUALITY)) + jax.jit(function).lower(images, QUALITY).as_text()
        assert "callback" not in text
        assert "float64" not in text


def test_batch_size_may_be_a_symbol(images):
    (batch,) = jax.export.symbolic_shape("batch")
    exported = jax.export.export(jax.jit(code))(jax.ShapeDtypeStruct((batch, 3, 16, 24), jnp.float32), QUALITY)
    assert jnp.array_equal(exported.call(images, jnp.asarray(QUALITY)), code(images, QUALITY))
