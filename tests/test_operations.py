"""The table of operations; that shapes and dtypes are those of what is returned is test_backends.py's."""

import inspect
from itertools import product

import numpy as np
import pytest

from pyjpegdiff import diff_jpeg_coding, jpeg_decode, jpeg_encode
from pyjpegdiff.backends import get
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.operations import CODE, COEFFICIENTS, COLOR, CORE_SHAPES, DECODE, ENCODE, OPERATIONS
from pyjpegdiff.results import CodingGradients, Coefficients, DecodingGradients
from pyjpegdiff.spec import Needs
from tests.samples import MODES, problem, spec_of


def test_names_are_those_of_public_arguments_and_results():
    for operation, function in ((CODE, diff_jpeg_coding), (ENCODE, jpeg_encode)):
        parameters = list(inspect.signature(function).parameters)
        assert set(operation.inputs) <= set(parameters)
        assert operation.inputs == CodingGradients._fields
    assert set(COEFFICIENTS) == set(Coefficients._fields[:5])
    assert DECODE.inputs == (*COEFFICIENTS, *COLOR)
    assert set(COLOR) <= set(inspect.signature(jpeg_decode).parameters)
    assert DecodingGradients._fields == ("coefficients", *COLOR)
    assert (CODE.outputs, ENCODE.outputs, DECODE.outputs) == (("image",), COEFFICIENTS, ("image",))
    assert list(OPERATIONS) == ["code", "encode", "decode"]


@pytest.mark.parametrize(
    ("operation", "name", "kinds"),
    [
        (CODE, "image_rgb", Needs(True, False, False)),
        (CODE, "jpeg_quality", Needs(False, True, False)),
        (CODE, "quantization_table_c", Needs(False, True, False)),
        (ENCODE, "color_offset", Needs(False, False, True)),
        (DECODE, "cr", Needs(True, False, False)),
        (DECODE, "steps_c", Needs(False, True, False)),
        (DECODE, "color_matrix", Needs(False, False, True)),
    ],
)
def test_kinds_of_needs(operation, name, kinds):
    assert operation.needs(tuple(other == name for other in operation.inputs)) == kinds


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
def test_kinds_of_several_needs_are_those_of_any(operation):
    for needs in product((False, True), repeat=len(operation.inputs)):
        alone = [operation.needs(tuple(i == j for j in range(len(needs)))) for i, need in enumerate(needs) if need]
        assert operation.needs(needs) == Needs(*(any(kind) for kind in zip(*alone, Needs(0, 0, 0), strict=True)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
def test_the_vjp_reads_what_it_says_and_nothing_more(operation, mode):
    """What it does not read it is not given; the cotangents are as if it were."""
    rng = np.random.default_rng(0)
    case = problem(rng, operation, spec_of(mode), (9, 17), whole=True)
    outputs, residuals = case.forward("array_api")
    g = case.cotangents(rng, outputs)
    every = case.vjp("array_api", residuals, g)
    skipped = set()
    for needs in product((False, True), repeat=len(case.inputs)):
        if any(needs):
            reads = operation.vjp_reads(needs)
            skipped |= {name for name, read in zip(operation.inputs, reads, strict=True) if not read}
            for a, b, need in zip(case.vjp("array_api", residuals, g, needs), every, needs, strict=True):
                assert (a is None) == (not need)
                if need:
                    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    assert skipped == ({"y", "cb", "cr"} if operation is DECODE else {"image_rgb"})


def test_core_dimensions():
    plan = problem(np.random.default_rng(0), CODE, spec_of(MODES[0]), channel_axis=-1).plan
    assert CODE.core_ndims(plan, CODE.inputs) == [3, 0, 2, 2, 2, 1]
    assert CODE.core_ndims(plan, CODE.outputs) == [3]
    assert ENCODE.core_ndims(plan, ENCODE.outputs) == [4, 2, 4, 4, 2]
    assert DECODE.core_ndims(plan, DECODE.inputs) == [4, 2, 4, 4, 2, 2, 1]
    gray = problem(np.random.default_rng(0), CODE, spec_of(MODES[0], None), channel_axis=None).plan
    assert CODE.core_ndims(gray, ("image_rgb", "jpeg_quality")) == [2, 0]
    assert CORE_SHAPES["color_offset"] == (3,)


def test_cotangents_have_the_dtype_of_their_input():
    plan = problem(np.random.default_rng(0), CODE, spec_of(MODES[0]), dtype="float16").plan
    inputs = (None, np.zeros((), np.int32), np.zeros((8, 8), np.float64), *[np.zeros((8, 8))] * 3)
    found = dict(zip(CODE.inputs, [np.ones(3), np.float64(1), np.ones((8, 8), "f4"), *[None] * 3], strict=True))
    needs = (True, True, True, False, False, False)
    got = CODE.cotangents(xp, plan, inputs, needs, found)
    assert [None if g is None else g.dtype.name for g in got] == ["float16", "float32", "float64", None, None, None]
    assert CODE.cotangents(xp, plan, inputs, (False,) * 6, found) == (None,) * 6


def test_sizes_may_be_symbols():
    """Formulas branch on nothing: a size that can only be computed with is enough."""

    class Symbol:
        """An integer that answers to arithmetic, and to no comparison."""

        def __init__(self, value):
            self.value = value

        def compute(name):  # noqa: N805
            def operate(self, other=0):
                return Symbol(getattr(self.value, name)(getattr(other, "value", other)))

            return operate

        __add__, __radd__, __sub__, __rsub__ = map(compute, ("__add__", "__radd__", "__sub__", "__rsub__"))
        __mul__, __rmul__, __floordiv__ = map(compute, ("__mul__", "__rmul__", "__floordiv__"))
        __rfloordiv__ = compute("__rfloordiv__")

        def __neg__(self):
            return Symbol(-self.value)

        def refuse(self, *other):
            raise AssertionError("a symbol has been asked for its value")

        __bool__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = __int__ = __index__ = refuse
        __hash__ = None

    def plain(types):
        return [(tuple(getattr(n, "value", n) for n in shape), dtype) for shape, dtype in types]

    for operation, mode, sampling in product(OPERATIONS.values(), MODES, [(2, 2), (1, 2), None]):
        case = problem(np.random.default_rng(0), operation, spec_of(mode, sampling), (21, 35), (2,))
        size = (Symbol(21), Symbol(35))
        types = case.types
        if operation is not DECODE:
            types = (types[0]._replace(shape=(2, types[0].shape[1], *size)), *types[1:])
        outputs, residuals = case.forward("array_api")
        assert plain(operation.output_types(case.plan, size, types)) == plain(
            [(x.shape, x.dtype.name) for x in outputs]
        )
        found = get("array_api").residual_types(operation, case.plan, size, types)
        assert plain(found) == plain([(x.shape, x.dtype.name) for x in residuals])
        pulled = case.vjp("array_api", residuals, case.cotangents(np.random.default_rng(0), outputs))
        found = operation.cotangent_types(case.plan, size, types, (2,))
        assert plain(found) == plain([(x.shape, x.dtype.name) for x in pulled])
