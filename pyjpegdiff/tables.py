"""Quantization tables, and the coefficient order of ITU-T T.81, as nested tuples."""

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

PSNR_LUMINANCE = (
    (25, 29, 30, 27, 28, 26, 28, 27),
    (31, 30, 29, 29, 28, 29, 27, 30),
    (28, 29, 29, 29, 29, 28, 29, 28),
    (29, 28, 29, 29, 29, 29, 29, 30),
    (26, 28, 28, 30, 29, 29, 30, 30),
    (28, 27, 29, 29, 30, 30, 30, 31),
    (25, 29, 28, 30, 29, 30, 30, 30),
    (28, 27, 30, 29, 31, 30, 31, 26),
)
"""Luma at quality 50, learned to take fewer bytes at equal squared error in 4:2:0, with `PSNR_CHROMINANCE`.

From the middles of eleven photos by `pyjpegdiff.learning.learn_tables`; ``make tables`` learns them again, and says
what tables so learned save on photos they have not seen. Near quality 70 files are as large as with the tables of Annex
K, at 20 a fourth smaller, at 95 a fifth larger.
"""

PSNR_CHROMINANCE = (
    (14, 16, 17, 16, 20, 20, 24, 26),
    (17, 16, 17, 18, 18, 21, 21, 26),
    (16, 18, 18, 19, 20, 20, 24, 25),
    (18, 18, 19, 20, 21, 23, 24, 28),
    (17, 20, 20, 22, 23, 24, 27, 29),
    (20, 20, 22, 23, 25, 27, 30, 34),
    (20, 23, 23, 25, 26, 30, 34, 37),
    (25, 23, 26, 27, 31, 32, 37, 36),
)
"""Chroma to `PSNR_LUMINANCE`."""

SSIM_LUMINANCE = (
    (21, 25, 28, 25, 28, 26, 30, 28),
    (25, 28, 27, 28, 28, 30, 29, 32),
    (25, 28, 28, 29, 30, 30, 32, 31),
    (27, 27, 29, 30, 30, 32, 31, 34),
    (25, 29, 29, 31, 32, 32, 34, 33),
    (28, 28, 31, 31, 33, 33, 33, 35),
    (26, 30, 30, 32, 32, 33, 34, 34),
    (29, 29, 32, 32, 34, 33, 35, 29),
)
"""As `PSNR_LUMINANCE`, at equal SSIM."""

SSIM_CHROMINANCE = (
    (15, 17, 18, 16, 21, 21, 27, 30),
    (18, 18, 18, 20, 20, 24, 26, 35),
    (16, 19, 20, 21, 23, 24, 32, 36),
    (18, 19, 21, 23, 25, 29, 32, 41),
    (18, 22, 23, 26, 29, 33, 39, 43),
    (22, 22, 26, 29, 33, 38, 44, 50),
    (23, 28, 29, 34, 38, 44, 49, 52),
    (30, 30, 36, 38, 45, 47, 53, 50),
)
"""Chroma to `SSIM_LUMINANCE`."""

MULTISCALE_LUMINANCE = (
    (16, 18, 25, 24, 34, 28, 35, 35),
    (19, 22, 25, 28, 33, 34, 34, 40),
    (22, 26, 27, 30, 37, 35, 39, 39),
    (26, 26, 30, 32, 39, 38, 39, 43),
    (29, 35, 36, 40, 41, 42, 43, 43),
    (31, 31, 36, 38, 42, 42, 43, 46),
    (31, 36, 37, 40, 42, 43, 44, 45),
    (37, 36, 41, 41, 45, 43, 46, 38),
)
"""As `PSNR_LUMINANCE`, at equal SSIM of three scales, `pyjpegdiff.distortions.multiscale_dissimilarity`: for people."""

MULTISCALE_CHROMINANCE = (
    (10, 11, 13, 13, 18, 18, 24, 26),
    (11, 12, 13, 16, 18, 22, 23, 31),
    (11, 14, 16, 17, 21, 22, 28, 31),
    (14, 15, 18, 20, 23, 26, 29, 36),
    (15, 19, 21, 24, 27, 30, 35, 37),
    (20, 20, 23, 26, 30, 34, 39, 44),
    (20, 25, 26, 30, 34, 39, 44, 47),
    (27, 26, 32, 33, 40, 42, 48, 44),
)
"""Chroma to `MULTISCALE_LUMINANCE`."""

ZIGZAG = tuple(
    sorted(
        ((row, column) for row in range(8) for column in range(8)),
        # Diagonal by diagonal: odd ones run down and to the left, even ones up and to the right.
        key=lambda at: (sum(at), at[0] if sum(at) % 2 else at[1]),
    )
)
"""The 64 (row, column) positions of a block in the order a JPEG file stores them (Figure 5)."""
