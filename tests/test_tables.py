import io

import numpy as np
from PIL import Image

from pyjpegdiff.tables import CHROMINANCE, LUMINANCE, ZIGZAG


def test_tables_equal_those_that_pillow_writes_at_quality_50():
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", quality=50)
    written = Image.open(buffer).quantization
    np.testing.assert_array_equal(np.reshape(written[0], (8, 8)), LUMINANCE)
    np.testing.assert_array_equal(np.reshape(written[1], (8, 8)), CHROMINANCE)


def test_zigzag_equals_the_order_in_the_file():
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "JPEG", quality=50)
    data = buffer.getvalue()
    start = data.index(b"\xff\xdb") + 5  # marker, length, table number
    assert [LUMINANCE[i][j] for i, j in ZIGZAG] == list(data[start : start + 64])
