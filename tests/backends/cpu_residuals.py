"""The residuals of the compiled kernels in the form of the array API's."""

import numpy as np


def unpacker(size):
    """From the kernels' residuals to those of the array API, of images of that size."""

    def unpack(spec, residuals):
        unpacked = []
        for index, x in enumerate(residuals):
            if x.dtype != np.uint8:
                *batch, high, wide = x.shape
                blocks = x.reshape((*batch, high, wide // 64, 8, 8))
                planes = np.moveaxis(blocks, -1, -3)  # transposed, row by row
                unpacked.append(planes.reshape((*batch, 8 * high, wide // 8)))
            elif index == 0 or residuals[index - 1].dtype != np.uint8:
                unpacked.append(np.unpackbits(x, axis=-1, bitorder="little")[..., : size[1]].astype(bool))
            else:
                *batch, high, wide = x.shape
                blocks = np.unpackbits(x[..., None], axis=-1, bitorder="little")
                planes = np.moveaxis(blocks.reshape((*batch, high, wide // 8, 8, 8)), -2, -3)
                unpacked.append(planes.reshape((*batch, 8 * high, wide)).astype(bool))
        return tuple(unpacked)

    return unpack
