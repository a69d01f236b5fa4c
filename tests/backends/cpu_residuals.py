"""The residuals of the compiled kernels in the form of the array API's."""

import numpy as np

from pyjpegdiff.backends.cpu_frame import residual_parts
from pyjpegdiff.stages.sampling import padded_size


def unpack(case, residuals):
    """From the kernels' residuals of a case to those of the array API."""
    if not residuals:
        return ()
    spec, size, dtype = case.plan.spec, case.size, np.dtype(case.plan.layout.compute_dtype)

    def in_place(blocks):
        rows = np.moveaxis(blocks, -2, -3)
        return rows.reshape((*blocks.shape[:-4], 8 * blocks.shape[-4], 8 * blocks.shape[-3]))

    def of_bits(x):
        return np.unpackbits(x[..., None], axis=-1, bitorder="little").astype(bool)

    (packed,) = residuals
    bytes_ = packed[..., 0, 0, :].view(np.uint8)
    batch, channels = packed.shape[:-3], 1 if spec.sampling is None else 3
    parts = residual_parts(case.operation.name, size, spec.hard, spec.samplings, dtype.itemsize)

    def part(name, count, dtype=np.uint8):
        start = parts[name]
        return np.ascontiguousarray(bytes_[..., start : start + count * np.dtype(dtype).itemsize]).view(dtype)

    unpacked = {}
    for group, planes, factors in zip("yc", (1, 2), spec.samplings, strict=False):
        high, wide = padded_size(size, factors)
        blocks = (*batch, planes, high // 8, wide // 8)
        if f"u_{group}" in parts:
            u = part(f"u_{group}", planes * high * wide, dtype).reshape((*blocks, 8, 8))
            unpacked[f"u_{group}"] = in_place(u.swapaxes(-1, -2))
        if f"in_range_{group}" in parts:
            bits = part(f"in_range_{group}", planes * high * wide // 8)
            unpacked[f"in_range_{group}"] = in_place(of_bits(bits.reshape((*blocks, 8))))
    if "inside" in parts:
        height, pitch = size[0], (size[1] + 7) // 8
        rows = part("inside", channels * height * pitch).reshape((*batch, channels, height, pitch))
        unpacked["inside"] = np.unpackbits(rows, axis=-1, bitorder="little")[..., : size[1]].astype(bool)
    order = ("u_y", "u_c", "inside", "in_range_y", "in_range_c")
    return tuple([unpacked[name] for name in order if name in unpacked])
