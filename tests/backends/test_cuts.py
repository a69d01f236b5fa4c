"""How a batch is cut; that the pieces make the whole is test_strips.py's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pyjpegdiff.arguments import SAMPLINGS
from pyjpegdiff.backends import cuts
from pyjpegdiff.lean import xp
from pyjpegdiff.spec import Operands, Spec


@given(
    count=st.integers(0, 9),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    area=st.sampled_from([1, 700, 2**16]),
    sampling=st.sampled_from(list(SAMPLINGS.values())),
)
def test_every_pixel_is_in_one_piece(count, height, width, area, sampling):
    spec = Spec(True, "cubic", "identity", sampling)
    operands = Operands((np.ones((8, 8)), np.ones((8, 8))), None, None, None, None)
    before = cuts.AREA
    cuts.AREA = area
    try:
        pieces = cuts.cuts(xp, spec, operands, (count,), (count, 3, height, width))
    finally:
        cuts.AREA = before
    seen = np.zeros((count, height), int)
    for cut in pieces:
        seen[cut.samples, cut.rows] += 1
        assert cut.rows.start % cuts.GROUP == 0
        samples = cut.samples.stop - cut.samples.start
        # One of: several whole samples, or a strip of one.
        assert samples == 1 or cut.rows == slice(0, height)
        assert samples * (cut.rows.stop - cut.rows.start) * width <= max(area, cuts.GROUP * width)
    assert (seen == 1).all()


def test_edges_do_not_hold_their_planes_in_memory():
    planes = (np.zeros((1, 1, 16, 16)), np.zeros((1, 2, 8, 8)))
    for edge in cuts._edges(planes):
        assert not np.shares_memory(edge, planes[-1])
    assert cuts._edges(()) == (None, None)
