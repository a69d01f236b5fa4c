"""Measurements as rows of tables."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from pyjpegdiff.study.measurement import TABLES, Measurement


def rows(measurements: Sequence[Measurement]) -> list[dict[str, float]]:
    """The scalars of measurements as plain dicts, for a DataFrame or `csv.DictWriter`.

    Examples
    --------
    >>> import numpy as np
    >>> from pyjpegdiff.study import rows, study
    >>> row, *_ = rows(study(np.zeros((16, 16), np.uint8), [50]))
    >>> list(row)[:6]
    ['quality', 'psnr', 'ssim', 'psnr_b', 'file_bytes', 'bits_per_pixel']
    >>> list(row)[6:]
    ['luma_dc_bits', 'luma_ac_bits', 'chroma_dc_bits', 'chroma_ac_bits', 'rd_slope']
    """
    names = [field.name for field in fields(Measurement) if field.name not in TABLES]
    return [{name: getattr(measurement, name) for name in names} for measurement in measurements]


def frequency_rows(measurements: Sequence[Measurement]) -> list[dict[str, float]]:
    """The tables of measurements as plain dicts, one per quality and frequency: ``u`` is vertical, ``v`` horizontal.

    Examples
    --------
    >>> import numpy as np
    >>> from pyjpegdiff.study import frequency_rows, study
    >>> found = frequency_rows(study(np.zeros((16, 16), np.uint8), [50]))
    >>> len(found), list(found[0])
    (64, ['quality', 'u', 'v', 'error_energy', 'sensitivity_y', 'sensitivity_c'])
    """
    return [row for measurement in measurements for row in _frequencies(measurement)]


def _frequencies(measurement: Measurement) -> Iterator[dict[str, float]]:
    for u in range(8):
        for v in range(8):
            entries = {name: float(getattr(measurement, name)[u, v]) for name in TABLES}
            yield {"quality": measurement.quality, "u": u, "v": v, **entries}


def table(rows: Sequence[dict[str, Any]]) -> bytes:
    """The rows as CSV in UTF-8; infinite and missing numbers are ``inf`` and ``nan``, which pandas and NumPy read."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()
