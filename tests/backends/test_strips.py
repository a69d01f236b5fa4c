"""How a batch is cut; that the strips make the whole is test_numpy_strips.py's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyjpegdiff.backends.strips import GROUP, Cutting, cut, edge_rows, plane_rows, process
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.parameters import color_operands
from pyjpegdiff.spec import Operands, Spec
from pyjpegdiff.stages.color import MATRIX, OFFSET
from pyjpegdiff.stages.sampling import padded_size
from tests.samples import SAMPLINGS

NO_COLOR = Operands((np.ones((8, 8)), np.ones((8, 8))), None, None, None, None)


@given(
    count=st.integers(0, 9),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    area=st.sampled_from([1, 700, 2**16]),
    sampling=st.sampled_from(list(SAMPLINGS.values())),
)
def test_every_pixel_is_in_one_strip(count, height, width, area, sampling):
    spec = Spec(True, "cubic", "identity", sampling)
    strips = cut(spec, Cutting(area), NO_COLOR, (count,), (count, 3, height, width))
    seen = np.zeros((count, height), int)
    for strip in strips:
        seen[strip.samples, strip.rows] += 1
        assert strip.rows.start % GROUP == 0
        samples = strip.samples.stop - strip.samples.start
        # One of: several whole samples, or a strip of one.
        assert samples == 1 or strip.rows == slice(0, height)
        assert samples * (strip.rows.stop - strip.rows.start) * width <= max(area, GROUP * width)
    assert (seen == 1).all()


@given(height=st.integers(1, 90), sampling=st.sampled_from(list(SAMPLINGS.values())))
def test_every_row_of_a_plane_belongs_to_one_strip(height, sampling):
    spec = Spec(True, "cubic", "identity", sampling)
    strips = cut(spec, Cutting(1), NO_COLOR, (1,), (1, 3, height, 8))
    for factors in spec.samplings:
        seen = np.zeros(padded_size((height, 8), factors)[0], int)
        for strip in strips:
            seen[plane_rows(factors, strip.rows)] += 1
        assert (seen == 1).all()


def test_strips_are_twice_as_large_where_threads_are_worth_it():
    spec = Spec(True, "cubic", "identity")
    operands, shape = NO_COLOR, (1, 3, 64, 16)
    heights = [
        [strip.rows.stop - strip.rows.start for strip in cut(spec, Cutting(256, thread_area), operands, (1,), shape)]
        for thread_area in (64 * 16, 64 * 16 // 2)
    ]
    assert heights == [[16] * 4, [32] * 2]


def test_every_strip_has_the_operands_of_its_samples():
    rng = np.random.default_rng(0)
    spec = Spec(True, "cubic", "identity")
    steps = rng.uniform(1, 9, (2, 1, 8, 8)), rng.uniform(1, 9, (8, 8))
    color = color_operands(xp, np.array(MATRIX) + rng.uniform(0, 0.1, (3, 3, 3)), np.array(OFFSET))
    operands = color._replace(steps=steps)
    strips = cut(spec, Cutting(1), operands, (2, 3), (6, 3, 8, 24))
    assert len(strips) == 6
    for index, strip in enumerate(strips):
        assert strip.samples == slice(index, index + 1)
        luma, chroma = strip.operands.steps
        np.testing.assert_array_equal(luma, np.tile(steps[0][index // 3], (1, 1, 3)))
        # Half as wide, in whole blocks.
        np.testing.assert_array_equal(chroma, np.tile(steps[1], (1, 2)))
        np.testing.assert_array_equal(strip.operands.matrix, operands.matrix[index % 3][None])
        np.testing.assert_array_equal(strip.operands.inverse, operands.inverse[index % 3][None])
        np.testing.assert_array_equal(np.broadcast_to(strip.operands.shift, (1, 3)), operands.shift[None])


@pytest.mark.parametrize("sampling", [(1, 1), (1, 2), (2, 1), (2, 2)])
@pytest.mark.parametrize("area", [1, 2**16])
def test_each_strip_is_consumed_with_the_rows_beside_it(sampling, area):
    spec, shape = Spec(True, "cubic", "identity", sampling), (2, 3, 40, 8)
    cutting = Cutting(area, 2**30)
    strips = cut(spec, cutting, NO_COLOR, (2,), shape)
    rows = np.arange(2 * 40.0).reshape(2, 1, 40, 1)

    def consume(strip, planes, beside):
        assert planes[1].shape[-2] == strip.rows.stop - strip.rows.start
        return [None if row is None else float(row[0, 0, 0, 0]) for row in beside]

    beside = process(spec, cutting, strips, shape, lambda strip: (rows, rows[strip.samples, :, strip.rows]), consume)
    if sampling[0] == 1 or area > 1:
        assert beside == [[None, None]] * len(strips)
    else:
        assert beside == [
            [None, 16], [15, 32], [31, None],
            [None, 56], [55, 72], [71, None],
        ]  # fmt: skip


def test_edges_do_not_hold_their_planes_in_memory():
    planes = (np.zeros((1, 1, 16, 16)), np.arange(2 * 64.0).reshape(1, 2, 8, 8))
    above, below = edge_rows(planes)
    np.testing.assert_array_equal(above, planes[1][..., :1, :])
    np.testing.assert_array_equal(below, planes[1][..., -1:, :])
    assert not np.shares_memory(above, planes[-1])
    assert not np.shares_memory(below, planes[-1])
    assert edge_rows(()) == (None, None)
