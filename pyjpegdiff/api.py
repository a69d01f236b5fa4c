"""The public functions, for any array of the array API standard; those of torch, JAX and Dask go to their adapters."""

from collections.abc import Callable, Sequence

from pyjpegdiff import arguments, execution
from pyjpegdiff.adapters import adapter_of
from pyjpegdiff.arguments import library_of
from pyjpegdiff.operations import CODE, DECODE, ENCODE
from pyjpegdiff.results import CodingGradients, Coefficients, DecodingGradients
from pyjpegdiff.types import AnyArray, Array, Rounding


def diff_jpeg_coding(
    image_rgb: Array,
    jpeg_quality: Array | float,
    quantization_table_y: Array | None = None,
    quantization_table_c: Array | None = None,
    ste: bool = False,
    *,
    arithmetic: str = "float",
    subsampling: str = "4:2:0",
    rounding: Rounding = "rational",
    flooring: str | None = None,
    steps_gradient: str | None = None,
    color_matrix: Array | None = None,
    color_offset: Array | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> AnyArray:
    r"""Compress an image as JPEG does, and decompress it again.

    The smooth variant (``ste=False``) replaces every rounding, floor and clip by a surrogate with a useful derivative.
    The straight-through variant (``ste=True``) performs all of them, those of samples included. The image keeps the
    derivatives of the surrogates; quality and tables get another gradient, see ``steps_gradient``. With
    ``arithmetic="libjpeg"`` the result is that of libjpeg-turbo, bit for bit.

    Parameters
    ----------
    image_rgb : array, shape (..., 3, H, W)
        Images of any batch shape, and any height and width from 1. Pixel values are 0..255 unless ``data_range`` says
        otherwise; one channel, or ``channel_axis=None``, is grayscale. Floating dtypes of 16 to 64 bits, or integers.
    jpeg_quality : float or array
        Quality, 1..100, fractions included. An array broadcasts against the batch shape of the image. Python numbers
        are checked for range; the entries of an array are clipped to it, as libjpeg does.
    quantization_table_y, quantization_table_c : array or nested sequence, shape (..., 8, 8), optional
        Tables of luma and chroma, vertical frequency first. Quality scales them: at 50 they are used as they are, at
        100 they are multiplied by zero, so that every step is 1 and the gradient of a table is 0.
        Batch axes broadcast against those of the image. Default: Tables K.1 and K.2 of ITU-T T.81. Pillow takes the
        same tables, ``table.ravel().tolist()``, as ``qtables``.
    ste : bool
        Straight-through variant instead of the smooth one.
    arithmetic : {"float", "libjpeg"}
        ``"libjpeg"`` uses libjpeg-turbo's fixed-point arithmetic: the result is what its default decoder (islow DCT,
        fancy upsampling) makes of the file that its encoder wrote. It always performs every rounding, with or without
        ``ste``. First it rounds and clips the image to 0..255, as saving would; the derivative of that is the identity.
    subsampling : {"4:2:0", "4:2:2", "4:4:0", "4:4:4"}
        Resolution of chroma. Not used for grayscale.
    rounding : {"rational", "cubic", "identity", "sine", "fourier", "tanh"} or (callable, callable)
        Surrogate for the rounding of coefficients, by name or as a pair of elementwise functions (value, derivative).
        ``"rational"`` knows the step size: at every quality, a coefficient counts if a change by a few gray levels can
        move it over a tie. ``"cubic"`` is that of the published method. The derivative decides the gradient of the
        image. That of quality and tables it decides in the smooth variant, and with ``steps_gradient="surrogate"``.
    flooring : {"cubic", "identity"}, optional
        Surrogate for the floors in scale and step sizes. Default: ``"cubic"`` in the smooth variant, which is nearer to
        the codec with it, by about 1 dB; ``"identity"`` in the others. At qualities 1, 2, 5, 10, 25 and 50 the
        derivative of the cubic is zero, and with it the gradients of quality and default tables.
    steps_gradient : {"elastic", "surrogate"}, optional
        Gradient of the step sizes, and so of quality and tables. ``"elastic"`` is the default where every rounding is
        performed, with ``ste=True`` or libjpeg arithmetic: an estimate of how the loss of the real codec changes with
        the step, the error of rounding times the share of it that grows with the step. ``"surrogate"`` is the
        derivative of ``rounding`` alone, and the default, as the only possible choice, of the smooth variant, where it
        is exact.
    color_matrix : array, shape (..., 3, 3), optional
        RGB to YCbCr; back goes its inverse. Default: JFIF's. Not used for grayscale.
    color_offset : array, shape (..., 3), optional
        What is added after the matrix. Default: (0, 128, 128).
    data_range : float, optional
        The value of white. Default: 255, also for floating dtypes. With it, a 0..1 image is taken for nearly black, and
        the result is almost constant: a NumPy array whose values all lie in 0..1 gets a `DataRangeWarning`; other
        arrays are never looked at. Required for integers other than uint8.
    channel_axis : int or None
        Axis of the channels, -1 for images as Pillow and scikit-image hold them. None for grayscale (..., H, W).

    Returns
    -------
    array, shape of ``image_rgb``
        In its floating dtype; float32 for integers. Computed in float64 if that is the image's dtype, else in float32.
        NumPy results are contiguous in the image's axis order.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is allowed.

    Notes
    -----
    With D the 8x8 DCT, T a table and s the scale that quality q gives,

    .. math::

        s = \lfloor 5000 / q \rfloor \text{ if } q < 50 \text{ else } \lfloor 200 - 2 q \rfloor, \quad
        Q = \mathrm{clip}(\lfloor (T s + 50) / 100 \rfloor, 1, 255), \quad
        X' = D^T \bigl(Q\, \mathrm{round}(D X D^T / Q)\bigr) D

    for every block X of luma and of subsampled chroma. A clip has slope 1 between its bounds, bounds included, and 1e-3
    outside. Source: Reich et al., *Differentiable JPEG: The Devil is in the Details*, WACV 2024; ITU-T T.81.

    Examples
    --------
    >>> import numpy as np
    >>> from pyjpegdiff import diff_jpeg_coding
    >>> image = np.linspace(0, 255, 3 * 16 * 16, dtype=np.float32).reshape(3, 16, 16)
    >>> result = diff_jpeg_coding(image, 75, ste=True)
    >>> result.shape, result.dtype.name, bool(np.abs(result - image).mean() < 2)
    ((3, 16, 16), 'float32', True)
    """
    given = locals()
    if adapter := adapter_of(image_rgb):
        return adapter.diff_jpeg_coding(**given)
    return execution.run(CODE, arguments.coding(library_of("image_rgb", image_rgb), **given))


def diff_jpeg_coding_vjp(
    image_rgb: Array,
    jpeg_quality: Array | float,
    quantization_table_y: Array | None = None,
    quantization_table_c: Array | None = None,
    ste: bool = False,
    *,
    wrt: Sequence[str] = ("image_rgb",),
    arithmetic: str = "float",
    subsampling: str = "4:2:0",
    rounding: Rounding = "rational",
    flooring: str | None = None,
    steps_gradient: str | None = None,
    color_matrix: Array | None = None,
    color_offset: Array | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> tuple[AnyArray, Callable[[Array], CodingGradients]]:
    """Compress and decompress an image; return the function from a cotangent of the result to those of the arguments.

    Parameters
    ----------
    image_rgb, jpeg_quality, quantization_table_y, quantization_table_c, ste
        As in `diff_jpeg_coding`, like all keywords but ``wrt``.
    wrt : str or sequence of str
        Names of the arguments whose gradients are needed: ``"image_rgb"``, ``"jpeg_quality"``,
        ``"quantization_table_y"``, ``"quantization_table_c"``, ``"color_matrix"``, ``"color_offset"``.

    Returns
    -------
    image : array
        What `diff_jpeg_coding` returns.
    vjp : callable
        ``vjp(cotangent)``, for a cotangent (upstream gradient) of the image's shape, is a named tuple by argument name,
        None for what ``wrt`` does not name. Each cotangent has the shape and the floating dtype of its argument,
        float32 for integers. ``vjp`` may be called any number of times; it does not depend on later changes to the
        arguments or the result.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is allowed.

    Notes
    -----
    `pyjpegdiff.stages.surrogates` lists the surrogates and their derivatives. A quality in an array that lies outside
    1..100 gets 1e-3 times the derivative at the bound, as does a step size outside 1..255: so a gradient still reaches
    what was clipped.

    Examples
    --------
    >>> import numpy as np
    >>> from pyjpegdiff import diff_jpeg_coding_vjp
    >>> image = np.random.default_rng(0).uniform(0, 255, (16, 16, 3))
    >>> result, vjp = diff_jpeg_coding_vjp(image, 50, ste=True, wrt=("image_rgb", "jpeg_quality"), channel_axis=-1)
    >>> gradients = vjp(2 * (result - image))
    >>> gradients.image_rgb.shape, gradients.jpeg_quality.shape, gradients.color_matrix is None
    ((16, 16, 3), (), True)
    >>> bool(gradients.jpeg_quality < 0)  # a higher quality lowers the error
    True
    """
    given = {name: value for name, value in locals().items() if name != "wrt"}
    if adapter := adapter_of(image_rgb):
        return adapter.diff_jpeg_coding_vjp(**given, wrt=wrt)
    return execution.run_with_vjp(CODE, arguments.coding(library_of("image_rgb", image_rgb), **given), wrt)


def jpeg_encode(
    image_rgb: Array,
    jpeg_quality: Array | float,
    quantization_table_y: Array | None = None,
    quantization_table_c: Array | None = None,
    ste: bool = False,
    *,
    arithmetic: str = "float",
    subsampling: str = "4:2:0",
    rounding: Rounding = "rational",
    flooring: str | None = None,
    steps_gradient: str | None = None,
    color_matrix: Array | None = None,
    color_offset: Array | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> Coefficients:
    """The first half of `diff_jpeg_coding`: the quantized coefficients that a JPEG file would store.

    Parameters
    ----------
    image_rgb, jpeg_quality, quantization_table_y, quantization_table_c, ste
        As in `diff_jpeg_coding`, like all keywords.

    Returns
    -------
    Coefficients
        Blocks of ``y``, ``cb``, ``cr`` as (..., blocks high, blocks wide, 8, 8), the step sizes, and what decoding
        needs to know. There are as many luma blocks as cover the image, ceil(H / 8) x ceil(W / 8); a file with
        subsampled chroma may hold one more row or column of blocks, to fill its last group. In libjpeg arithmetic the
        entries are the very integers of the file, as floats; in the smooth variant they are near integers.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is allowed.

    Examples
    --------
    >>> import numpy as np
    >>> from pyjpegdiff import jpeg_encode
    >>> coefficients = jpeg_encode(np.full((3, 20, 30), 64, np.uint8), 50, arithmetic="libjpeg")
    >>> coefficients.y.shape, coefficients.cb.shape, coefficients.size, coefficients.subsampling
    ((3, 4, 8, 8), (2, 2, 8, 8), (20, 30), '4:2:0')
    >>> float(coefficients.y[0, 0, 0, 0]), float(coefficients.steps_y[0, 0])  # 8 (64 - 128) / 16
    (-32.0, 16.0)
    """
    given = locals()
    if adapter := adapter_of(image_rgb):
        return adapter.jpeg_encode(**given)
    return execution.run(ENCODE, arguments.coding(library_of("image_rgb", image_rgb), **given))


def jpeg_encode_vjp(
    image_rgb: Array,
    jpeg_quality: Array | float,
    quantization_table_y: Array | None = None,
    quantization_table_c: Array | None = None,
    ste: bool = False,
    *,
    wrt: Sequence[str] = ("image_rgb",),
    arithmetic: str = "float",
    subsampling: str = "4:2:0",
    rounding: Rounding = "rational",
    flooring: str | None = None,
    steps_gradient: str | None = None,
    color_matrix: Array | None = None,
    color_offset: Array | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> tuple[Coefficients, Callable[[Coefficients], CodingGradients]]:
    """Encode an image; return the function from cotangents of the coefficients to those of the arguments.

    Parameters
    ----------
    image_rgb, jpeg_quality, quantization_table_y, quantization_table_c, ste
        As in `diff_jpeg_coding`, like all keywords but ``wrt``.
    wrt : str or sequence of str
        As in `diff_jpeg_coding_vjp`.

    Returns
    -------
    coefficients : Coefficients
        What `jpeg_encode` returns.
    vjp : callable
        ``vjp(cotangents)``, for `Coefficients` of cotangents (None for what has none; size and subsampling are not
        read), is a named tuple as in `diff_jpeg_coding_vjp`. Step sizes are outputs, too, and may have cotangents.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is allowed.

    Examples
    --------
    A rate term: the gradient of the sum of magnitudes of all luma coefficients.

    >>> import numpy as np
    >>> from pyjpegdiff import jpeg_encode_vjp
    >>> image = np.random.default_rng(0).uniform(0, 255, (3, 16, 16))
    >>> coefficients, vjp = jpeg_encode_vjp(image, 50, ste=True, wrt=("jpeg_quality",))
    >>> gradients = vjp(coefficients._replace(y=np.sign(coefficients.y), cb=None, cr=None, steps_y=None, steps_c=None))
    >>> bool(gradients.jpeg_quality > 0)  # a higher quality stores more
    True
    """
    given = {name: value for name, value in locals().items() if name != "wrt"}
    if adapter := adapter_of(image_rgb):
        return adapter.jpeg_encode_vjp(**given, wrt=wrt)
    return execution.run_with_vjp(ENCODE, arguments.coding(library_of("image_rgb", image_rgb), **given), wrt)


def jpeg_decode(
    coefficients: Coefficients,
    ste: bool = False,
    *,
    arithmetic: str = "float",
    color_matrix: Array | None = None,
    color_offset: Array | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> AnyArray:
    """The second half of `diff_jpeg_coding`: the image of quantized coefficients.

    Parameters
    ----------
    coefficients : Coefficients
        As `jpeg_encode` returns them, or made of arrays from elsewhere. The dtype of ``y`` decides that of the image.
    ste : bool
        Round and clip samples as a decoder does. Otherwise only the image is clipped, and softly.
    arithmetic, color_matrix, color_offset, data_range, channel_axis
        As in `diff_jpeg_coding`; ``channel_axis=None`` is for coefficients of grayscale.

    Returns
    -------
    array, shape (..., 3, H, W)
        The decoded image; one channel for grayscale.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is allowed.

    Notes
    -----
    ``arithmetic="libjpeg"`` equals libjpeg-turbo's decoder wherever the coefficients times their steps, and what the
    inverse DCT makes of their columns (in libjpeg's scale, 4 sqrt(8) times the samples'), stay within -16383..16383.
    Those of an image stay below a third of that. Samples beyond 0..255 are clipped, however far they are. Past 16383
    the variants of libjpeg differ from each other: SIMD code overflows 16 bits in its butterflies; C code does not, but
    looks up its clip modulo 1024. Here the arithmetic stays exact, and clips.

    Examples
    --------
    >>> import numpy as np
    >>> from pyjpegdiff import diff_jpeg_coding, jpeg_decode, jpeg_encode
    >>> image = np.random.default_rng(0).uniform(0, 255, (3, 20, 30))
    >>> decoded = jpeg_decode(jpeg_encode(image, 75))
    >>> bool(np.allclose(decoded, diff_jpeg_coding(image, 75)))
    True
    """
    given = locals()
    if adapter := adapter_of(getattr(coefficients, "y", None)):
        return adapter.jpeg_decode(**given)
    return execution.run(DECODE, arguments.decoding(None, **given))


def jpeg_decode_vjp(
    coefficients: Coefficients,
    ste: bool = False,
    *,
    wrt: Sequence[str] = ("coefficients",),
    arithmetic: str = "float",
    color_matrix: Array | None = None,
    color_offset: Array | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> tuple[AnyArray, Callable[[Array], DecodingGradients]]:
    """Decode coefficients; return the function from a cotangent of the image to those of the arguments.

    Parameters
    ----------
    coefficients, ste
        As in `jpeg_decode`, like all keywords but ``wrt``.
    wrt : str or sequence of str
        Names of the arguments whose gradients are needed: ``"coefficients"`` (their step sizes included),
        ``"color_matrix"``, ``"color_offset"``.

    Returns
    -------
    image : array
        What `jpeg_decode` returns.
    vjp : callable
        ``vjp(cotangent)`` is a named tuple by argument name, whose ``coefficients`` are `Coefficients` of cotangents,
        ready for the ``vjp`` of `jpeg_encode_vjp`.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is allowed.

    Examples
    --------
    >>> import numpy as np
    >>> from pyjpegdiff import jpeg_decode_vjp, jpeg_encode_vjp
    >>> image = np.random.default_rng(0).uniform(0, 255, (3, 20, 30))
    >>> coefficients, encode_vjp = jpeg_encode_vjp(image, 75)
    >>> decoded, decode_vjp = jpeg_decode_vjp(coefficients)
    >>> gradient = encode_vjp(decode_vjp(decoded - image).coefficients).image_rgb
    >>> gradient.shape
    (3, 20, 30)
    """
    given = {name: value for name, value in locals().items() if name != "wrt"}
    if adapter := adapter_of(getattr(coefficients, "y", None)):
        return adapter.jpeg_decode_vjp(**given, wrt=wrt)
    return execution.run_with_vjp(DECODE, arguments.decoding(None, **given), wrt)
