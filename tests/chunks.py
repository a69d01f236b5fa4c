"""Arrays cut into chunks of Dask, and their results beside those of NumPy."""

import dask
import dask.array as da
import numpy as np

BATCHES = {
    (): [()],
    (5,): [((5,),), ((2, 2, 1),), ((1,) * 5,), ((0, 3, 2),)],
    (1,): [((1,),), ((0, 1),)],
    (0,): [((0,),)],
    (2, 3): [((2,), (3,)), ((1, 1), (3,)), ((1, 1), (2, 1))],
    (2, 1, 2): [((1, 1), (1,), (1, 1))],
}
"""Batch shapes, and how their axes are cut."""


def cut(array, chunks, before=0):
    """A Dask array with its batch axes cut, after so many other axes."""
    return da.from_array(array, chunks={axis + before: lengths for axis, lengths in enumerate(chunks)} or -1)


def leaves(results):
    """The arrays of nested results, in order."""
    if isinstance(results, tuple):
        return [leaf for one in results for leaf in leaves(one)]
    return [results] if hasattr(results, "dtype") else []


def assert_same(lazy, want, sums=0.0):
    """Equal structure; shapes and dtypes, known before values; values, off by so much of the largest at most."""
    assert [type(x) for x in leaves(lazy)] == [da.Array] * len(leaves(want))
    known = [(x.shape, x.dtype) for x in leaves(lazy)]
    (found,) = dask.compute(lazy)
    for (shape, dtype), x, y in zip(known, leaves(found), leaves(want), strict=True):
        assert (shape, dtype) == (x.shape, x.dtype) == (y.shape, y.dtype)
        np.testing.assert_allclose(x, y, rtol=0, atol=float(sums * abs(y).max(initial=0)))
