"""Distances between an image and what JPEG made of it, with gradients: for `pyjpegdiff.learning.learn_tables`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

WINDOW = 7
"""Side of the window of SSIM."""
SCALES = 3
"""Those of `multiscale_dissimilarity`."""


def squared_error(image: ArrayLike, decoded: ArrayLike) -> tuple[float, Floats]:
    """The mean squared error.

    Parameters
    ----------
    image, decoded : array, shape (H, W) or (H, W, channels)
        Pixel values 0..255 of any dtype.

    Returns
    -------
    error : float
    gradient : array
        With respect to ``decoded``.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is allowed.

    Examples
    --------
    >>> import numpy as np
    >>> error, gradient = squared_error(np.zeros((2, 2)), np.ones((2, 2)))
    >>> error, gradient.tolist()
    (1.0, [[0.5, 0.5], [0.5, 0.5]])
    """
    image, decoded = _checked(image, decoded)
    difference = decoded - image
    return float(np.mean(difference * difference)), 2 / difference.size * difference


def dissimilarity(image: ArrayLike, decoded: ArrayLike) -> tuple[float, Floats]:
    r"""One minus SSIM, the mean over channels, with a window of 7x7 equal weights.

    Parameters
    ----------
    image, decoded : array, shape (H, W) or (H, W, channels)
        Pixel values 0..255 of any dtype; at least 7 rows and columns.

    Returns
    -------
    dissimilarity : float
    gradient : array
        With respect to ``decoded``.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is allowed; also where the window does not fit.

    Notes
    -----
    With means :math:`\mu`, variances :math:`\sigma^2` and covariance :math:`\sigma_{xy}` within the window, unbiased,

    .. math:: \mathrm{SSIM} = \frac{(2 \mu_x \mu_y + C_1)(2 \sigma_{xy} + C_2)}
        {(\mu_x^2 + \mu_y^2 + C_1)(\sigma_x^2 + \sigma_y^2 + C_2)},

    :math:`C_1 = 2.55^2` and :math:`C_2 = 7.65^2`. Source: Wang et al., *Image Quality Assessment: From Error Visibility
    to Structural Similarity*, IEEE Transactions on Image Processing 13 (4), 2004. Values are those of scikit-image's
    ``structural_similarity``.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).uniform(0, 255, (16, 16))
    >>> round(dissimilarity(image, image)[0], 12)
    0.0
    """
    image, decoded = _checked(image, decoded)
    if min(image.shape[:2]) < WINDOW:
        raise ValueError(f"image must have at least {WINDOW} rows and columns for SSIM, got {image.shape[:2]}")
    x, y = image, decoded
    unbiased = WINDOW**2 / (WINDOW**2 - 1)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_x, mean_y = _means(x), _means(y)
    variance_x = unbiased * (_means(x * x) - mean_x * mean_x)
    variance_y = unbiased * (_means(y * y) - mean_y * mean_y)
    covariance = unbiased * (_means(x * y) - mean_x * mean_y)
    luminance, structure = 2 * mean_x * mean_y + c1, 2 * covariance + c2
    luminances, structures = mean_x * mean_x + mean_y * mean_y + c1, variance_x + variance_y + c2
    ssim = luminance * structure / (luminances * structures)

    of_variance, of_covariance = -ssim / structures, 2 * ssim / structure
    of_mean = 2 * ssim * (mean_x / luminance - mean_y / luminances)
    of_mean -= unbiased * (2 * mean_y * of_variance + mean_x * of_covariance)
    gradient = _means_vjp(of_mean) + unbiased * (2 * y * _means_vjp(of_variance) + x * _means_vjp(of_covariance))
    return float(1 - ssim.mean()), -gradient / ssim.size


def multiscale_dissimilarity(image: ArrayLike, decoded: ArrayLike) -> tuple[float, Floats]:
    r"""The mean of `dissimilarity` at full, half and quarter size: of the image, and of means of 2x2 pixels of it.

    Coarse scales are what the eye sees from farther away. So errors of low frequencies, visible blocks and wrong colors
    of areas count more than in `dissimilarity`, which looks at 7 pixels alone.

    Parameters
    ----------
    image, decoded : array, shape (H, W) or (H, W, channels)
        Pixel values 0..255 of any dtype; at least 7 rows and columns. Scales at which the window does not fit are left
        out, and a last row or column that has no neighbor in its 2x2 pixels.

    Returns
    -------
    dissimilarity : float
    gradient : array
        With respect to ``decoded``.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is allowed; also where the window does not fit.

    Notes
    -----
    A simpler relative of MS-SSIM, which multiplies powers of five scales: Wang, Simoncelli and Bovik, *Multiscale
    Structural Similarity for Image Quality Assessment*, Asilomar Conference 2003.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).uniform(0, 255, (32, 32))
    >>> round(multiscale_dissimilarity(image, image)[0], 12)
    0.0
    """
    image, decoded = _checked(image, decoded)
    value, gradient = dissimilarity(image, decoded)
    values, whole, factor = [value], gradient, 1
    while len(values) < SCALES and min(image.shape[:2]) // 2 >= WINDOW:
        image, decoded, factor = _halved(image), _halved(decoded), 2 * factor
        value, gradient = dissimilarity(image, decoded)
        values.append(value)
        spread = gradient.repeat(factor, 0).repeat(factor, 1) / factor**2
        whole[: spread.shape[0], : spread.shape[1]] += spread
    return sum(values) / len(values), whole / len(values)


def _checked(image: ArrayLike, decoded: ArrayLike) -> tuple[Floats, Floats]:
    """Both as float64: integers would wrap around."""
    found = []
    for name, value in (("image", image), ("decoded", decoded)):
        array = np.asarray(value)
        if array.dtype.kind not in "uif" or array.ndim not in (2, 3):
            raise TypeError(
                f"{name} must be numbers of shape (H, W) or (H, W, channels), got {array.dtype} of shape {array.shape}"
            )
        found.append(array.astype(np.float64, copy=False))
    x, y = found
    if x.shape != y.shape:
        raise ValueError(f"decoded must have the shape of image, {x.shape}, got {y.shape}")
    return x, y


def _halved(values: Floats) -> Floats:
    height, width = (length // 2 * 2 for length in values.shape[:2])
    rows = values[0:height:2, :width] + values[1:height:2, :width]
    return (rows[:, 0::2] + rows[:, 1::2]) / 4


def _means(values: Floats) -> Floats:
    """Means of all windows that fit, by running sums along both axes."""
    for axis in (0, 1):
        first = np.moveaxis(values, axis, 0)
        sums = np.concatenate([np.zeros_like(first[:1]), np.cumsum(first, 0)])
        values = np.moveaxis(sums[WINDOW:] - sums[:-WINDOW], 0, axis)
    return values / WINDOW**2


def _means_vjp(cotangent: Floats) -> Floats:
    """The adjoint of `_means`: the same sums over a border of zeros."""
    border = WINDOW - 1
    return _means(np.pad(cotangent, [(border, border)] * 2 + [(0, 0)] * (cotangent.ndim - 2)))
