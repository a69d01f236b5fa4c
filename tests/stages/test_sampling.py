import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyjpegdiff.arguments import SAMPLINGS
from pyjpegdiff.stages import sampling as s
from pyjpegdiff.testing import assert_adjoint

FACTORS = st.sampled_from(list(SAMPLINGS.values()))
SIDES = st.integers(1, 40)


def halo_if_rows(x, factors):
    return s.halo(np, x, -2) if factors[0] == 2 else x


def libjpeg_downsample(plane, rows, columns):
    """jcsample.c and jcprepct.c, sample by sample, on whole numbers."""
    height, width = plane.shape
    out_height, out_width = s.padded_size(plane.shape, (rows, columns))
    real = -(-height // rows)
    out = np.zeros((out_height, out_width), int)
    for i in range(real):
        for j in range(out_width):
            group = [
                int(plane[min(rows * i + a, height - 1), min(columns * j + b, width - 1)])
                for a in range(rows)
                for b in range(columns)
            ]
            bias = {(1, 1): 0, (1, 2): j & 1, (2, 1): 1, (2, 2): 1 + (j & 1)}[rows, columns]
            out[i, j] = (sum(group) + bias) // (rows * columns)
    out[real:] = out[real - 1]
    return out


def libjpeg_upsample(plane, rows, columns):
    """jdsample.c's fancy upsampling on whole numbers."""
    height, width = plane.shape
    if columns == 2 and width <= 2:
        return plane.repeat(rows, 0).repeat(columns, 1)
    at = lambda i, j: int(plane[min(max(i, 0), height - 1), min(max(j, 0), width - 1)])
    out = np.zeros((rows * height, columns * width), int)
    for i in range(rows * height):
        for j in range(columns * width):
            near_i, far_i = i // rows, i // rows + (1 if i % 2 else -1)
            near_j, far_j = j // columns, j // columns + (1 if j % 2 else -1)
            if (rows, columns) == (1, 1):
                out[i, j] = at(i, j)
            elif (rows, columns) == (1, 2):
                out[i, j] = (3 * at(i, near_j) + at(i, far_j) + (2 if j % 2 else 1)) >> 2
            elif (rows, columns) == (2, 1):
                out[i, j] = (3 * at(near_i, j) + at(far_i, j) + (2 if i % 2 else 1)) >> 2
            else:
                column = lambda c: 3 * at(near_i, c) + at(far_i, c)
                out[i, j] = (3 * column(near_j) + column(far_j) + (7 if j % 2 else 8)) >> 4
    return out


@given(seed=st.integers(0, 99), height=SIDES, width=SIDES, factors=FACTORS)
def test_hard_downsampling_is_libjpegs(seed, height, width, factors):
    plane = np.random.default_rng(seed).integers(-128, 128, (height, width))
    got = s.downsample(np, plane.astype(np.float32), factors, hard=True)
    np.testing.assert_array_equal(got, libjpeg_downsample(plane, *factors))


@given(seed=st.integers(0, 99), height=st.integers(1, 20), width=st.integers(1, 20), factors=FACTORS)
def test_hard_upsampling_is_libjpegs(seed, height, width, factors):
    plane = np.random.default_rng(seed).integers(-128, 128, (height, width))
    got = s.upsample(np, halo_if_rows(plane.astype(np.float32), factors), factors, hard=True)
    np.testing.assert_array_equal(got, libjpeg_upsample(plane, *factors))


@given(seed=st.integers(0, 99), height=SIDES, width=SIDES, factors=FACTORS)
def test_downsampling_adjoint(seed, height, width, factors):
    rng = np.random.default_rng(seed)
    assert_adjoint(
        lambda x: s.downsample(np, x, factors, hard=False),
        lambda y: s.downsample_vjp(np, y, factors, (height, width)),
        rng.normal(size=(2, height, width)),
        rng.normal(size=(2, *s.padded_size((height, width), factors))),
    )


@given(seed=st.integers(0, 99), height=SIDES, width=SIDES, factors=FACTORS)
def test_upsampling_adjoint(seed, height, width, factors):
    rng = np.random.default_rng(seed)
    rows, columns = factors
    assert_adjoint(
        lambda x: s.upsample(np, halo_if_rows(x, factors), factors, hard=False),
        lambda y: s.upsample_vjp(np, halo_if_rows(y, factors), factors),
        rng.normal(size=(2, height, width)),
        rng.normal(size=(2, rows * height, columns * width)),
    )


@pytest.mark.parametrize("factors", [(2, 1), (2, 2)])
@pytest.mark.parametrize("hard", [False, True])
def test_strips_with_their_halo_make_the_whole(factors, hard):
    plane = np.random.default_rng(0).integers(-128, 128, (12, 10)).astype(float)
    whole = s.upsample(np, s.halo(np, plane, -2), factors, hard)
    padded = s.halo(np, plane, -2)
    strips = [s.upsample(np, padded[i : i + 6], factors, hard) for i in (0, 4, 8)]
    np.testing.assert_array_equal(np.concatenate(strips), whole)
    g = np.random.default_rng(1).normal(size=whole.shape)
    padded = s.halo(np, g, -2)
    strips = [s.upsample_vjp(np, padded[i : i + 10], factors) for i in (0, 8, 16)]
    np.testing.assert_array_equal(np.concatenate(strips), s.upsample_vjp(np, padded, factors))


def test_a_flat_plane_stays_flat():
    for factors in SAMPLINGS.values():
        flat = np.full((9, 11), 17.0)
        np.testing.assert_array_equal(s.downsample(np, flat, factors, hard=True), 17)
        np.testing.assert_array_equal(s.upsample(np, halo_if_rows(flat, factors), factors, hard=True), 17)
