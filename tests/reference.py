"""An independent JPEG in torch, written for autograd: every step that has a surrogate says so with a detached term.

It shares nothing with the package but the constants of the standard: blocks are cut out and transformed by a 64x64
matrix, chroma is averaged and interpolated by torch's own pooling and convolution, the color matrix inverted by linalg.
"""

import math

import numpy as np
import scipy.fft
import torch

from pyjpegdiff.tables import CHROMINANCE, LUMINANCE

MATRIX = [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
_UNIT = np.eye(64).reshape(64, 8, 8)
DCT = torch.from_numpy(scipy.fft.dctn(_UNIT, axes=(1, 2), norm="ortho").reshape(64, 64).T.copy())

CUBIC = lambda d: 3 * d * d


def through(x, value, slope):
    """``value`` forward, ``slope`` backward."""
    return value.detach() + slope * (x - x.detach())


def leaky(inside):
    return 1e-3 + (1 - 1e-3) * inside.double()


def round_(u, q, hard, rounding):
    nearest = torch.round(u).detach()
    d = u - nearest
    if rounding == "cubic":
        smooth = nearest + d**3
    else:
        softness = 8 / q
        smooth = nearest + d / 3 / (1 + (1 - (2 * d) ** 2) / softness)
    if hard:
        away = torch.sign(u) * torch.floor(u.abs() + 0.5)
        return away.detach() + smooth - smooth.detach()
    return smooth


def elastic(u, q, rounding):
    """Whole coefficients times steps, where a step's slope is the elasticity of the error times the error.

    ``u`` has no graph to the steps; the last axis is that of frequencies.
    """
    whole = round_(u, q.detach(), True, rounding)
    fixed, axes = u.detach(), tuple(range(u.ndim - 1))
    squares = [torch.sum((f * torch.round(fixed / f) - fixed) ** 2, axes) for f in (0.75, 1, 1.25)]
    has_error = squares[1] > 0
    elasticity = ((squares[2] - squares[0]) / torch.where(has_error, squares[1], 1)).clamp(0.05, 1)
    error = (whole - u).detach()
    return whole * q.detach() + elasticity * error * (q - q.detach())


def floor(x, hard, flooring):
    below = torch.floor(x).detach()
    if hard:
        return through(x, below, CUBIC((x - below - 0.5).detach()) if flooring == "cubic" else 1.0)
    return below + (x - below - 0.5) ** 3 if flooring == "cubic" else x - 0.5


def clip(x, low, high, hard):
    if hard:
        inside = ((x >= low) & (x <= high)).detach()
        return through(x, x.clamp(low, high), leaky(inside))
    limited = x.clamp(low, high)
    return limited + 1e-3 * (x - limited)


def sample_round(x, bias, hard):
    return through(x, torch.floor(x + bias), 1.0) if hard else x


def steps(quality, table, hard, flooring):
    q = through(quality, quality.clamp(1, 100), leaky((quality >= 1) & (quality <= 100)))
    percent = torch.where(q < 50, 5000 / q, 200 - 2 * q)
    scale = floor(percent, hard, flooring) + (0 if hard else {"cubic": 0.125, "identity": 0.5}[flooring])
    return clip(floor((table * scale[..., None, None] + 50) / 100, hard, flooring), 1, 255, hard)


def blocks(plane):
    h, w = plane.shape[-2:]
    return plane.unflatten(-2, (h // 8, 8)).unflatten(-1, (w // 8, 8)).transpose(-3, -2).flatten(-2)


def planes(blocks):
    high, wide = blocks.shape[-3:-1]
    return blocks.unflatten(-1, (8, 8)).transpose(-3, -2).reshape(*blocks.shape[:-3], high * 8, wide * 8)


def pad(x, right, bottom):
    """Replicate the last column and row."""
    x = torch.cat([x, x[..., -1:].expand(*x.shape[:-1], right)], -1)
    return torch.cat([x, x[..., -1:, :].expand(*x.shape[:-2], bottom, x.shape[-1])], -2)


def down(x, sampling, hard):
    rows, columns = sampling
    h, w = math.ceil(x.shape[-2] / rows), math.ceil(x.shape[-1] / columns)
    x = pad(x, columns * 8 * math.ceil(w / 8) - x.shape[-1], rows * h - x.shape[-2])
    means = torch.nn.functional.avg_pool2d(x[None], sampling)[0]
    if rows * columns > 1:
        i = torch.arange(means.shape[-1]) % 2
        bias = {(1, 2): i / 2, (2, 1): 0.5 + 0 * i, (2, 2): (1 + i) / 4}[sampling].to(x.dtype)
        means = sample_round(means, bias, hard)
    return pad(means, 0, -h % 8)


def up(x, sampling, size, hard):
    rows, columns = sampling
    h, w = math.ceil(size[0] / rows), math.ceil(size[1] / columns)
    x = x[..., :h, :w]
    if columns == 2 and w <= 2:
        x = x.repeat_interleave(rows, -2).repeat_interleave(columns, -1)
    else:
        for factor, axis in ((rows, -2), (columns, -1)):
            if factor == 2:
                y = x.transpose(axis, -1)
                before = torch.cat([y[..., :1], y[..., :-1]], -1)
                after = torch.cat([y[..., 1:], y[..., -1:]], -1)
                x = torch.stack([(3 * y + before) / 4, (3 * y + after) / 4], -1).flatten(-2).transpose(axis, -1)
        if rows * columns > 1:
            i = torch.arange(x.shape[-1 if columns == 2 else -2]) % 2
            bias = {(1, 2): (1 + i) / 4, (2, 1): (1 + i) / 4, (2, 2): (8 - i) / 16}[sampling].to(x.dtype)
            x = sample_round(x, bias if columns == 2 else bias[:, None], hard)
    return x[..., : size[0], : size[1]]


def jpeg(
    image, quality, table_y=None, table_c=None, matrix=None, offset=None, *, sampling=(2, 2), hard=False,
    rounding="rational", flooring=None, is_elastic=None,
):  # fmt: skip
    """One image (3 or 1, H, W); returns the coded image and the list of unrounded coefficients."""
    is_elastic = hard if is_elastic is None else is_elastic
    flooring = flooring or ("identity" if hard else "cubic")
    table_y = torch.tensor(LUMINANCE, dtype=torch.float64) if table_y is None else table_y
    table_c = torch.tensor(CHROMINANCE, dtype=torch.float64) if table_c is None else table_c
    matrix = torch.tensor(MATRIX, dtype=torch.float64) if matrix is None else matrix
    offset = torch.tensor([0.0, 128, 128], dtype=torch.float64) if offset is None else offset
    gray, size = image.shape[0] == 1, image.shape[-2:]
    ycc = image if gray else torch.einsum("ij,jhw->ihw", matrix, image) + offset[:, None, None]
    bias = torch.tensor([0.5, 0.5 - 2.0**-16, 0.5 - 2.0**-16], dtype=torch.float64)[: len(ycc), None, None]
    ycc = sample_round(ycc, bias, hard)
    decoded, unrounded = [], []
    groups = (ycc,) if gray else (ycc[:1], ycc[1:])
    for index, group in enumerate(groups):
        factors = (1, 1) if index == 0 else sampling
        q = steps(quality, table_c if index else table_y, hard, flooring).flatten(-2)
        u = blocks(down(group, factors, hard) - 128) @ DCT.T / (q.detach() if is_elastic else q)
        unrounded.append(u.detach())
        whole = elastic(u, q, rounding) if is_elastic else round_(u, q, hard, rounding) * q
        back = planes(whole @ DCT) + 128
        if hard:
            back = clip(sample_round(back, 0.5 + 2.0**-12, True), 0, 255, True)
        decoded.append(up(back, factors, size, hard))
    ycc = torch.cat(decoded)
    rgb = ycc if gray else torch.einsum("ij,jhw->ihw", torch.linalg.inv(matrix), ycc - offset[:, None, None])
    return clip(sample_round(rgb, 0.5, hard), 0, 255, hard), unrounded
