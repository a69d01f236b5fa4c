import numpy as np
import pytest

from pyjpegdiff.parameters import Parameters, color_operands, color_operands_vjp, prepare, prepare_vjp
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


def test_prepare_vjp():
    spec = Spec(hard=False, rounding="cubic", flooring="identity")

    def steps(quality, table_y, table_c):
        parameters = Parameters(quality, (table_y, table_c), np.array(MATRIX), np.array(OFFSET))
        operands = prepare(np, spec, parameters)

        def vjp(g):
            pulled = prepare_vjp(np, spec, parameters, Operands((g[0], g[1]), None, None, None, None))
            assert pulled.matrix is None
            return pulled.quality, *pulled.tables

        return np.stack(operands.steps), vjp

    quality = np.array([30.3, 77.7])
    tables = (np.array(LUMINANCE) + RNG.uniform(size=(8, 8)), np.array(CHROMINANCE) + RNG.uniform(size=(2, 8, 8)))

    def broadcast(quality, table_y, table_c):
        return steps(quality, np.broadcast_to(table_y, (2, 8, 8)), table_c)

    value, vjp = broadcast(quality, *tables)
    pulled = vjp(np.ones_like(value))
    assert pulled[0].shape == (2,)
    assert_vjp(broadcast, quality, np.broadcast_to(tables[0], (2, 8, 8)), tables[1])
