"""Strips of one call's arrays: read, written and added up; that the whole is right is test_numpy_strips.py's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyjpegdiff.arrays import unbroadcast
from pyjpegdiff.backends.batch import Batch
from pyjpegdiff.backends.strips import Cutting
from pyjpegdiff.layout import Layout
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.parameters import color_operands
from pyjpegdiff.spec import Needs, Operands, Plan
from pyjpegdiff.stages.color import MATRIX, OFFSET
from tests.samples import MODES, SAMPLINGS, batch_shapes_within, spec_of


def batch_of(size, batch_shape, sampling=(2, 2), layout=Layout(), of_steps=((), ()), of_color=((), ())):  # noqa: B008
    color = (
        color_operands(xp, np.zeros((*of_color[0], 3, 3)) + MATRIX, np.zeros((*of_color[1], 3)) + OFFSET)
        if sampling
        else Operands((), None, None, None, None)
    )
    steps = tuple(np.ones((*shape, 8, 8)) for shape in of_steps[: 2 if sampling else 1])
    return Batch(
        Plan(spec_of(MODES[1], sampling), layout, ""), Cutting(700), size, batch_shape, color._replace(steps=steps)
    )


ANY = {
    "height": st.integers(1, 70),
    "width": st.integers(1, 40),
    "batch_shape": st.sampled_from([(), (1,), (3,), (2, 3), (0,)]),
    "sampling": st.sampled_from([*SAMPLINGS.values(), None]),
}


@given(**ANY, axis=st.sampled_from([-3, -1]), scale=st.sampled_from([1, 256, 0.5]), dtype=st.sampled_from(["u1", "f4"]))
def test_images_are_read_and_written_by_strips(height, width, batch_shape, sampling, axis, scale, dtype):
    layout = Layout(axis, 1.0, "float32")
    batch = batch_of((height, width), batch_shape, sampling, layout)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, layout.shape((*batch_shape, 3 if sampling else 1, height, width))).astype(dtype)
    images, result = batch.images(image), batch.empty_image()
    assert np.shares_memory(images, image) or image.size == 0
    for strip in batch.strips:
        part = batch.image_strip(images, strip, strip.rows, scale)
        assert part.dtype == np.float32
        np.testing.assert_array_equal(part, images[strip.samples, :, strip.rows].astype("f4") * scale)
        batch.store_image(result, strip, part, 1 / scale)
    stored = batch.result(result)
    assert stored.dtype == np.float32
    assert stored.flags.c_contiguous
    np.testing.assert_array_equal(stored, image)


@given(**ANY)
def test_blocks_and_planes_are_read_and_written_by_strips(height, width, batch_shape, sampling):
    batch = batch_of((height, width), batch_shape, sampling)
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=x.shape) for x in batch.empty_blocks()]
    again = batch.empty_blocks()
    for strip in batch.strips:
        groups = batch.block_strip(blocks, strip)
        batch.store_blocks(again, strip, groups)
        zeros = batch.block_strip([None] * len(blocks), strip)
        assert [(x.shape, x.any()) for x in zeros] == [(x.shape, False) for x in groups]
    for a, b in zip(again, blocks, strict=True):
        np.testing.assert_array_equal(a, b)


@given(**ANY, seed=st.integers(0, 99))
def test_sums_over_strips_are_the_adjoint_of_what_strips_are_given(height, width, batch_shape, sampling, seed):
    """Ones from every strip add up to how many strips an operand was given to."""
    rng = np.random.default_rng(seed)
    of_steps, of_color = batch_shapes_within(rng, batch_shape, 2), batch_shapes_within(rng, batch_shape, 2)
    batch = batch_of((height, width), batch_shape, sampling, of_steps=of_steps, of_color=of_color)
    needs = Needs(True, True, sampling is not None)
    found = []
    for strip in batch.strips:
        steps = tuple(np.ones((*x.shape[:-1], 8)) for x in strip.operands.steps)
        color = [None if x is None else np.ones(x.shape) for x in strip.operands[1:]]
        found.append(Operands(steps, *color))
    total = batch.summed(found, needs)
    strips_of_sample = np.zeros(batch.count)
    for strip in batch.strips:
        strips_of_sample[strip.samples] += 1
    operands = [*batch.operands.steps, *(x for x in batch.operands[1:] if x is not None)]
    sums = [*total.steps, *(x for x in total[1:] if x is not None)]
    assert len(sums) == len(operands) or not batch.strips
    core_ndims = [2] * len(batch.operands.steps) + [2, 1, 2, 1]
    for operand, got, core_ndim in zip(operands, sums, core_ndims, strict=False):
        assert got.shape == operand.shape
        if operand.ndim == core_ndim:
            # Given to every strip as it is, whatever samples that holds.
            assert (got == len(batch.strips)).all()
        elif all(strip.samples.stop - strip.samples.start == 1 for strip in batch.strips):
            core = operand.shape[-core_ndim:]
            per_sample = np.broadcast_to(
                strips_of_sample.reshape(*batch_shape, *[1] * core_ndim), (*batch_shape, *core)
            )
            np.testing.assert_array_equal(got, unbroadcast(xp, per_sample, operand.shape))


@pytest.mark.parametrize("sampling", [(2, 2), None])
def test_nothing_is_summed_where_nothing_is_needed(sampling):
    batch = batch_of((16, 16), (), sampling)
    found = [Operands((), None, None, None, None) for _ in batch.strips]
    assert batch.summed(found, Needs(True, False, False)) == Operands((), None, None, None, None)
