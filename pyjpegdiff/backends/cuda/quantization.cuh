// Step sizes and the sums of their cotangents: formulas of stages/quantization.py.

#pragma once

// A step function's value, or its surrogate's, and the surrogate's derivative either way.
struct Stepped {
    REAL value, derivative;
};

__device__ inline Stepped floored(REAL x, bool cubic) {
    const REAL below = floor(x), d = x - below - REAL(0.5);
    return Stepped{HARD ? below : cubic ? below + d * d * d : x - REAL(0.5), cubic ? 3 * d * d : REAL(1)};
}

// Scale of the tables, percent, from the quality.
__device__ inline Stepped scale(REAL quality, bool cubic) {
    const REAL q = quality < 1 ? REAL(1) : quality > 100 ? REAL(100) : quality;
    Stepped percent = floored(q < 50 ? 5000 / q : 200 - 2 * q, cubic);
    if (!HARD) percent.value += cubic ? REAL(0.125) : REAL(0.5);  // what the surrogate misses at integers
    percent.derivative = clip_vjp(percent.derivative * (q < 50 ? -5000 / (q * q) : REAL(-2)), q == quality);
    return percent;
}

// A step size, and its derivative by table entry times scale.
__device__ inline Stepped step_size(REAL entry, REAL scale, bool cubic) {
    const Stepped step = floored((entry * scale + 50) / 100, cubic);
    return Stepped{clip(step.value, 1, 255), clip_vjp(step.derivative / 100, is_inside(step.value, 1, 255))};
}

__device__ inline REAL quantized(REAL u) { return HARD ? round_half_away(u) : rounding_value(u); }

// Where the step sizes of a thread's column start: those of its sample, if strides say so.
__device__ inline const REAL* steps_of(
    const REAL* luma, Int luma_stride, const REAL* chroma, Int chroma_stride, int group, Int sample) {
    return group == 0 ? luma + sample * luma_stride : chroma + sample * chroma_stride;
}

// Sums over the blocks of a tile, in their order, one for each group and coefficient.
__device__ inline void sum_blocks(const REAL (&parts)[BLOCKS][BLOCK * BLOCK], REAL* sums) {
    for (int i = threadIdx.x; i < GROUPS * BLOCK * BLOCK; i += THREADS) {
        const int group = i / (BLOCK * BLOCK), coefficient = i % (BLOCK * BLOCK);
        const int first = group == 0 ? 0 : LUMA_BLOCKS, end = group == 0 ? LUMA_BLOCKS : BLOCKS;
        REAL sum = 0;
        for (int block = first; block < end; ++block) sum += parts[block][coefficient];
        sums[i] = sum;
    }
}
