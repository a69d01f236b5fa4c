// Step sizes, and the sums of their cotangents.

#pragma once

#include "../formulas/elastic.hpp"
#include "../formulas/parameters.hpp"

__device__ inline Stepped<REAL> scale(REAL quality, bool cubic) { return scale_of(quality, HARD, cubic); }

__device__ inline Stepped<REAL> step_size(REAL entry, REAL percent, bool cubic) {
    return step_of(entry, percent, HARD, cubic);
}

// Where the step sizes of a thread's column start: those of its sample, if strides say so.
__device__ inline const REAL* steps_of(
    const REAL* luma, Int luma_stride, const REAL* chroma, Int chroma_stride, int group, Int sample) {
    return group == 0 ? luma + sample * luma_stride : chroma + sample * chroma_stride;
}

// What a coefficient adds to each sum of its step.
constexpr int SUMS = ELASTIC ? ELASTIC_SUMS : 1;

__device__ inline REAL step_share(int which, REAL g, REAL u, REAL step) {
    const REAL k = quantized(u, step);
    if (!ELASTIC) return g * (k - rounding_fall(u, step));
    return which == 0 ? g * (k - u) : which == 1 ? change_of_square(u) : (k - u) * (k - u);
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
