"""What JPEG does to one image: the error in several measures, the bytes, and the sensitivity to the tables."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pyjpegdiff import diff_jpeg_coding_vjp
from pyjpegdiff.study.arguments import checked_image, checked_qualities
from pyjpegdiff.study.coding import in_file, jpeg_file, scan_bits, slope
from pyjpegdiff.study.measures import Pixels, Table, blocking_effect, decibels, frequency_energy, similarity
from pyjpegdiff.study.settings import Settings

LUMA = (0.299, 0.587, 0.114)
TABLES = ("error_energy", "sensitivity_y", "sensitivity_c")
"""What a measurement has at each frequency."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """An image at one quality; `study` describes each number."""

    quality: int
    psnr: float
    ssim: float
    psnr_b: float
    file_bytes: int
    bits_per_pixel: float
    luma_dc_bits: int
    luma_ac_bits: int
    chroma_dc_bits: int
    chroma_ac_bits: int
    rd_slope: float
    error_energy: Table
    sensitivity_y: Table
    sensitivity_c: Table


def study(
    image: ArrayLike,
    qualities: Iterable[int],
    *,
    subsampling: str = "4:2:0",
    arithmetic: str = "libjpeg",
    quantization_table_y: ArrayLike | None = None,
    quantization_table_c: ArrayLike | None = None,
) -> list[Measurement]:
    r"""Measure what JPEG does to an image at several qualities.

    Parameters
    ----------
    image : array of uint8, shape (H, W, 3) or (H, W)
        RGB or grayscale, in the layout of scikit-image and Pillow; pixel values 0..255.
    qualities : iterable of int
        Whole numbers in 1..100, measured in this order.
    subsampling : {"4:2:0", "4:2:2", "4:4:0", "4:4:4"}
        Resolution of chroma. Pillow cannot write 4:4:0: `pyjpegdiff.files` makes that file, which takes more time and
        up to 300 bytes of memory per pixel.
    arithmetic : {"libjpeg", "float"}
        ``"libjpeg"`` measures the real codec: the result equals, sample for sample, what Pillow with libjpeg-turbo
        reads back from the file whose bytes are counted. ``"float"`` performs the same roundings in floating point;
        bytes and bits are still those of that file.
    quantization_table_y, quantization_table_c : array_like of int, shape (8, 8), optional
        Tables of luma and chroma, entries 1..255, vertical frequency first. Quality scales them; 50 leaves them
        unchanged. Default: Tables K.1 and K.2 of ITU-T T.81.

    Returns
    -------
    list of Measurement
        One per quality, with

        ``quality``
            the quality;
        ``psnr``
            peak signal-to-noise ratio of all samples in dB, infinite where the result equals the image;
        ``ssim``
            structural similarity, at most 1, with scikit-image's default 7x7 window, mean over channels; NaN where
            the image is less than 7 pixels high or wide;
        ``psnr_b``
            PSNR-B in dB: PSNR after the blocking effect factor of the result is added to the error. It is never above
            ``psnr``, and equal to it where block edges are not visible;
        ``file_bytes``
            size of the file that libjpeg-turbo, and so Pillow, writes, with headers and standard Huffman tables,
            without metadata;
        ``bits_per_pixel``
            ``8 * file_bytes / (H * W)``;
        ``luma_dc_bits``, ``luma_ac_bits``, ``chroma_dc_bits``, ``chroma_ac_bits``
            the exact bits of the coefficients in that file: codes, and the bits that follow them. Ends of blocks count
            as AC; chroma is 0 for grayscale. The sum is `pyjpegdiff.jpeg_rate`. Rounded up to whole bytes, it is
            ``file_bytes`` without headers, 625 bytes or 330 for grayscale, and without the zero byte that follows each
            byte of eight ones;
        ``rd_slope``
            rate-distortion slope: change of the mean squared error of all samples per additional bit per pixel of
            coefficients, as quality grows; mostly negative. NaN where the bits do not change;
        ``error_energy``
            (8, 8), in squared pixel values: energy of the luma error at each DCT frequency, vertical frequency first,
            summed over all blocks. Outside the image the error counts as zero. The sum of the 64 entries is the squared
            error of luma;
        ``sensitivity_y``, ``sensitivity_c``
            (8, 8), in squared pixel values per unit of the table: gradient of the mean squared error of all samples
            with respect to each entry of the luma and the chroma table. The sign says whether a coarser step increases
            the error; the size is near the real change of the error, in half of the cases within a tenth for luma and a
            quarter for chroma, but less where large areas are flat, so that many coefficients share one error. It is
            close to zero where the scaled entry exceeds 255. It is zero at quality 100, where every step is 1, and for
            the chroma table of a grayscale image.

    Raises
    ------
    TypeError, ValueError
        The message names the argument, its value and the allowed values.

    Notes
    -----
    Let :math:`D_B` and :math:`D_B^C` be the mean squared difference of neighbors across block edges and elsewhere. The
    blocking effect factor [1]_ of a plane is

    .. math::

        \mathrm{BEF} = \eta \max(0, D_B - D_B^C), \quad \eta = \frac{\log 8}{\log \min(H, W)}, \quad
        \mathrm{PSNR\text{-}B} = 10 \log_{10} \frac{255^2}{\mathrm{MSE} + \mathrm{BEF}} .

    For RGB it is the mean over channels. Also :math:`\eta \le 1`, which matters only for images narrower than a block.

    ``rd_slope`` is the difference of errors over the difference of bits of two files, three qualities below and three
    above, within 1..100. So it does not depend on which other qualities are measured, and it is measured: the
    gradient of the error with respect to quality only estimates it.

    References
    ----------
    .. [1] C. Yim and A. C. Bovik, *Quality Assessment of Deblocked Images*, IEEE Transactions on Image Processing
       20(1), 2011, pp. 88-98.

    Examples
    --------
    >>> import numpy as np
    >>> from pyjpegdiff.study import study
    >>> y, x = np.mgrid[:64, :64]
    >>> image = np.stack([2 * x + y, 3 * y, 190 - x - y], axis=-1).astype(np.uint8)
    >>> low, high = study(image, [10, 90])
    >>> low.psnr < high.psnr, low.file_bytes < high.file_bytes, low.error_energy.shape
    (True, True, (8, 8))
    """
    settings = Settings.of(subsampling, arithmetic, quantization_table_y, quantization_table_c)
    pixels = checked_image(image)
    return [measure(pixels, quality, settings) for quality in checked_qualities(qualities)]


def measure(image: Pixels, quality: int, settings: Settings) -> Measurement:
    """One row of a study; the arguments must have been checked."""
    gray = image.ndim == 2
    original = image.astype(np.float32)
    names = ("quantization_table_y",) if gray else ("quantization_table_y", "quantization_table_c")
    result, vjp = diff_jpeg_coding_vjp(original, quality, ste=True, wrt=names, **settings.codec_options(gray))
    difference = result - original
    gradients = vjp(difference * np.float32(2 / image.size))
    gradient_y, gradient_c = gradients.quantization_table_y, gradients.quantization_table_c
    del vjp, original  # they hold many times the memory of the image
    error = float(np.square(difference).mean(dtype=np.float64))
    luma = difference.astype(np.float64) if gray else np.einsum("ijk,k->ij", difference, np.array(LUMA))
    size, bits = len(jpeg_file(image, quality, settings)), scan_bits(in_file(image, quality, settings))
    return Measurement(
        quality=quality,
        psnr=decibels(error),
        ssim=similarity(image, result.astype(np.uint8)),
        psnr_b=decibels(error + blocking_effect(result)),
        file_bytes=size,
        bits_per_pixel=8 * size / math.prod(image.shape[:2]),
        luma_dc_bits=bits.luma_dc,
        luma_ac_bits=bits.luma_ac,
        chroma_dc_bits=bits.chroma_dc,
        chroma_ac_bits=bits.chroma_ac,
        rd_slope=slope(image, quality, settings),
        error_energy=frequency_energy(luma),
        sensitivity_y=np.asarray(gradient_y, np.float64),
        sensitivity_c=np.zeros((8, 8)) if gradient_c is None else np.asarray(gradient_c, np.float64),
    )
