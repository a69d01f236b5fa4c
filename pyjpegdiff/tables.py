"""Quantization tables and coefficient order of ITU-T T.81, as nested tuples."""

LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Step sizes of the luma coefficients at quality 50 (Table K.1). Rows are vertical frequencies."""

CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
)
"""Step sizes of the chroma coefficients at quality 50 (Table K.2)."""

ZIGZAG = tuple(
    sorted(
        ((row, column) for row in range(8) for column in range(8)),
        # Diagonal by diagonal: odd ones run down and to the left, even ones up and to the right.
        key=lambda at: (sum(at), at[0] if sum(at) % 2 else at[1]),
    )
)
"""The 64 (row, column) positions of a block in the order a JPEG file stores them (Figure 5)."""
