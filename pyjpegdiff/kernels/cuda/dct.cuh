// The four passes over eight samples in registers.

#pragma once

// Before the formulas, which find no later one for a type that is built in.
__device__ inline int descale(int x, int shift) { return (x + (1 << (shift - 1))) >> shift; }

#include "../formulas/dct.hpp"

// libjpeg's passes are in integers: |samples| stay below 2^8, |coefficients| below 2^11, and sums below 2^31.
template <bool INVERSE>
__device__ inline void islow(REAL (&x)[BLOCK], int shift) {
    int whole[BLOCK];
    for (int i = 0; i < BLOCK; ++i) whole[i] = static_cast<int>(x[i]);
    INVERSE ? islow_idct(whole, shift) : islow_dct(whole, shift);
    for (int i = 0; i < BLOCK; ++i) x[i] = REAL(whole[i]);
}

// In their order: rows, columns, columns, rows.
__device__ inline void dct_rows(REAL (&x)[BLOCK]) { LIBJPEG ? islow<false>(x, 11) : dct(x); }

__device__ inline void dct_columns(REAL (&x)[BLOCK]) {
    LIBJPEG ? islow<false>(x, 15) : dct(x);
    if (LIBJPEG)
        for (int i = 0; i < BLOCK; ++i) x[i] *= REAL(0.125);  // libjpeg's coefficients are eight times T.81's
}

__device__ inline void idct_columns(REAL (&c)[BLOCK]) { LIBJPEG ? islow<true>(c, 11) : idct(c); }

__device__ inline void idct_rows(REAL (&c)[BLOCK]) { LIBJPEG ? islow<true>(c, 18) : idct(c); }
