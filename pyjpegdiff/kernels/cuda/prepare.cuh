// Quality, tables and color -> the operands that samples meet, and the VJP: formulas of parameters.py. A thread block
// goes with each sample, or one with all.

#pragma once

extern "C" __global__ void __launch_bounds__(THREADS) prepare(
    const REAL* quality, Int quality_stride, const REAL* table_luma, Int table_luma_stride, const REAL* table_chroma,
    Int table_chroma_stride, const REAL* matrix, Int matrix_stride, const REAL* offset, Int offset_stride, Int cubic,
    REAL* steps_luma, REAL* steps_chroma, REAL* shift, REAL* inverse, REAL* unshift) {
    const Int sample = blockIdx.x;
    const int i = threadIdx.x;
    if (i < BLOCK * BLOCK) {
        const REAL percent = scale(quality[sample * quality_stride], cubic).value;
        const Int at = sample * BLOCK * BLOCK + i;
        steps_luma[at] = step_size(table_luma[sample * table_luma_stride + i], percent, cubic).value;
        if (CHANNELS == 3)
            steps_chroma[at] = step_size(table_chroma[sample * table_chroma_stride + i], percent, cubic).value;
    }
    if (CHANNELS == 3 && i == 0) {
        const REAL* const own_offset = offset + sample * offset_stride;
        REAL* const own_inverse = inverse + sample * 9;
        invert(matrix + sample * matrix_stride, own_inverse);
        for (int c = 0; c < 3; ++c) {
            REAL sum = 0;
            for (int d = 0; d < 3; ++d) sum += own_inverse[3 * c + d] * (REAL(LEVEL) - own_offset[d]);
            shift[sample * 3 + c] = own_offset[c] - REAL(LEVEL);
            unshift[sample * 3 + c] = sum;
        }
    }
}

// Cotangents of step sizes -> those of quality and tables, of a sample, or of all.
extern "C" __global__ void __launch_bounds__(THREADS) prepare_vjp(
    const REAL* quality, Int quality_stride, const REAL* table_luma, Int table_luma_stride, const REAL* table_chroma,
    Int table_chroma_stride, Int cubic, const REAL* g_steps, REAL* g_quality, REAL* g_table_luma,
    REAL* g_table_chroma) {
    __shared__ REAL parts[BLOCK * BLOCK];
    const Int sample = blockIdx.x;
    const int i = threadIdx.x;
    const Stepped<REAL> percent = scale(quality[sample * quality_stride], cubic);
    if (i < BLOCK * BLOCK) {
        parts[i] = 0;
        for (int group = 0; group < GROUPS; ++group) {
            const REAL* const table =
                group == 0 ? table_luma + sample * table_luma_stride : table_chroma + sample * table_chroma_stride;
            const REAL g = g_steps[(sample * GROUPS + group) * BLOCK * BLOCK + i] *
                           step_size(table[i], percent.value, cubic).derivative;
            (group == 0 ? g_table_luma : g_table_chroma)[sample * BLOCK * BLOCK + i] = g * percent.value;
            parts[i] += g * table[i];
        }
    }
    __syncthreads();
    if (i == 0) {
        REAL sum = 0;
        for (int j = 0; j < BLOCK * BLOCK; ++j) sum += parts[j];
        g_quality[sample] = sum * percent.derivative;
    }
}
