import numpy as np
import pytest

from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.parameters import (
    Parameters,
    color_cotangents,
    color_operands,
    color_operands_vjp,
    cotangents,
    of_coding,
    prepare,
    steps_vjp,
)
from pyjpegdiff.spec import Operands, Spec
from pyjpegdiff.stages.color import MATRIX, OFFSET
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE
from pyjpegdiff.testing import assert_vjp

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("of_matrix", [(), (2,)])
@pytest.mark.parametrize("of_offset", [(), (2,)])
def test_color_operands_vjp(of_matrix, of_offset):
    names = ("matrix", "shift", "inverse", "unshift")

    def flat(matrix, offset):
        operands = color_operands(np, matrix, offset)
        values = [getattr(operands, name) for name in names]
        sizes = np.cumsum([value.size for value in values])[:-1]

        def vjp(g):
            parts = [part.reshape(v.shape) for part, v in zip(np.split(g, sizes), values, strict=True)]
            return color_operands_vjp(np, matrix, offset, Operands((), *parts))

        return np.concatenate([value.ravel() for value in values]), vjp

    matrix = np.array(MATRIX) + 0.1 * RNG.normal(size=(*of_matrix, 3, 3))
    assert_vjp(flat, matrix, np.array(OFFSET) + RNG.normal(size=(*of_offset, 3)))


def test_default_color_operands_undo_each_other():
    operands = color_operands(np, np.array(MATRIX), np.array(OFFSET))
    rgb = RNG.uniform(0, 255, 3)
    back = operands.inverse @ (operands.matrix @ rgb + operands.shift) + operands.unshift
    np.testing.assert_allclose(back, rgb, atol=1e-11)


def test_steps_vjp():
    spec = Spec(hard=False, rounding="cubic", flooring="identity")

    def steps(quality, table_y, table_c):
        parameters = Parameters(quality, (table_y, table_c), np.array(MATRIX), np.array(OFFSET))
        operands = prepare(np, spec, parameters)

        def vjp(g):
            g_quality, g_tables = steps_vjp(np, spec, parameters, (g[0], g[1]))
            return g_quality, *g_tables

        return np.stack(operands.steps), vjp

    quality = np.array([30.3, 77.7])
    tables = (np.array(LUMINANCE) + RNG.uniform(size=(8, 8)), np.array(CHROMINANCE) + RNG.uniform(size=(2, 8, 8)))

    def broadcast(quality, table_y, table_c):
        return steps(quality, np.broadcast_to(table_y, (2, 8, 8)), table_c)

    value, vjp = broadcast(quality, *tables)
    pulled = vjp(np.ones_like(value))
    assert pulled[0].shape == (2,)
    assert_vjp(broadcast, quality, np.broadcast_to(tables[0], (2, 8, 8)), tables[1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("gray", [False, True])
def test_parameters_among_the_inputs_of_coding(dtype, gray):
    values = (np.array(50, np.int16), np.full((8, 8), 9.0), np.full((8, 8), 7, np.uint8), np.eye(3), np.zeros(3))
    parameters = of_coding(xp, (None, *values[: 2 if gray else 5]), dtype)
    arrays = [parameters.quality, *parameters.tables]
    arrays += [] if gray else [parameters.matrix, parameters.offset]
    assert (parameters.matrix is None) == (parameters.offset is None) == gray
    assert len(arrays) == (2 if gray else 5)
    for array, value in zip(arrays, values, strict=False):
        assert array.dtype == dtype
        np.testing.assert_array_equal(array, value)


def test_cotangents_by_name_of_those_operands_that_have_one():
    spec = Spec(True, "cubic", "identity")
    tables = (np.array(LUMINANCE, float), np.array(CHROMINANCE, float))
    parameters = Parameters(np.array(50.0), tables, np.array(MATRIX), np.array(OFFSET))
    nothing = Operands((), None, None, None, None)
    assert cotangents(np, spec, parameters, nothing) == {}
    assert color_cotangents(np, None, None, nothing) == {}
    of_steps = nothing._replace(steps=(np.ones((8, 8)), np.ones((8, 8))))
    found = cotangents(np, spec, parameters, of_steps)
    assert list(found) == ["jpeg_quality", "quantization_table_y", "quantization_table_c"]
    g_quality, g_tables = steps_vjp(np, spec, parameters, of_steps.steps)
    np.testing.assert_array_equal(found["jpeg_quality"], g_quality)
    np.testing.assert_array_equal(found["quantization_table_c"], g_tables[1])
    of_maps = nothing._replace(matrix=np.eye(3), shift=np.ones(3))
    found = cotangents(np, spec, parameters, of_maps)
    assert list(found) == ["color_matrix", "color_offset"]
    np.testing.assert_array_equal(found["color_matrix"], np.eye(3))
    np.testing.assert_array_equal(found["color_offset"], 1)
