"""The residuals of the compiled kernels in the form of the array API's."""

import numpy as np

from pyjpegdiff.stages.sampling import padded_size


def unpacker(size):
    """From the kernels' residuals to those of the array API, of images of that size."""

    def in_place(blocks, planes, factors):
        high, wide = padded_size(size, factors)
        batch = planes.shape[:-2]
        rows = np.moveaxis(
            blocks(planes.reshape((*batch, high // 8, wide // 8, 64 if planes.dtype != np.uint8 else 8))), -2, -3
        )
        return rows.reshape((*batch, high, wide))

    def transposed(blocks):
        return blocks.reshape((*blocks.shape[:-1], 8, 8)).swapaxes(-1, -2)

    def of_bits(blocks):
        return np.unpackbits(blocks[..., None], axis=-1, bitorder="little").astype(bool)

    def unpack(spec, residuals):
        u = [x for x in residuals if x.dtype != np.uint8]
        unpacked = [in_place(transposed, x, factors) for x, factors in zip(u, spec.samplings, strict=False)]
        for inside in residuals[len(u) : len(u) + 1]:
            rows = inside.reshape((*inside.shape[:-2], size[0], (size[1] + 7) // 8))
            unpacked.append(np.unpackbits(rows, axis=-1, bitorder="little")[..., : size[1]].astype(bool))
        in_range = zip(residuals[len(u) + 1 :], spec.samplings, strict=False)
        return (*unpacked, *[in_place(of_bits, x, factors) for x, factors in in_range])

    return unpack
