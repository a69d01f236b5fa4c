// The DCT of eight samples in registers: formulas of stages/dct.py.

#pragma once

// cos(k pi / 16) / 2, and sqrt(1/8).
#define C1 REAL(0.49039264020161522)
#define C2 REAL(0.46193976625564337)
#define C3 REAL(0.41573480615127262)
#define C4 REAL(0.35355339059327379)
#define C5 REAL(0.27778511650980109)
#define C6 REAL(0.19134171618254489)
#define C7 REAL(0.09754516100806413)

__device__ constexpr REAL BASIS[BLOCK][BLOCK] = {
    {C4, C4, C4, C4, C4, C4, C4, C4},
    {C1, C3, C5, C7, -C7, -C5, -C3, -C1},
    {C2, C6, -C6, -C2, -C2, -C6, C6, C2},
    {C3, -C7, -C1, -C5, C5, C1, C7, -C3},
    {C4, -C4, -C4, C4, C4, -C4, -C4, C4},
    {C5, -C1, C7, C3, -C3, -C7, C1, -C5},
    {C6, -C2, C2, -C6, -C6, C2, -C2, C6},
    {C7, -C5, C3, -C1, C1, -C3, C5, -C7},
};

__device__ inline void dct(REAL (&x)[BLOCK]) {
    REAL c[BLOCK];
#pragma unroll
    for (int u = 0; u < BLOCK; ++u) {
        c[u] = 0;
#pragma unroll
        for (int j = 0; j < BLOCK; ++j) c[u] += BASIS[u][j] * x[j];
    }
#pragma unroll
    for (int u = 0; u < BLOCK; ++u) x[u] = c[u];
}

__device__ inline void idct(REAL (&c)[BLOCK]) {
    REAL x[BLOCK];
#pragma unroll
    for (int j = 0; j < BLOCK; ++j) {
        x[j] = 0;
#pragma unroll
        for (int u = 0; u < BLOCK; ++u) x[j] += BASIS[u][j] * c[u];
    }
#pragma unroll
    for (int j = 0; j < BLOCK; ++j) c[j] = x[j];
}

// libjpeg's "islow": integers, each pass with its rounding shift. |samples| stay below 2^8 and |coefficients| below
// 2^11, rows of ISLOW sum to 2^16 at most in magnitude: nothing leaves 31 bits.
__device__ constexpr int ISLOW[BLOCK][BLOCK] = {
    {8192, 8192, 8192, 8192, 8192, 8192, 8192, 8192},
    {11363, 9633, 6437, 2260, -2260, -6437, -9633, -11363},
    {10703, 4433, -4433, -10703, -10703, -4433, 4433, 10703},
    {9633, -2259, -11362, -6436, 6436, 11362, 2259, -9633},
    {8192, -8192, -8192, 8192, 8192, -8192, -8192, 8192},
    {6437, -11362, 2261, 9633, -9633, -2261, 11362, -6437},
    {4433, -10704, 10704, -4433, -4433, 10704, -10704, 4433},
    {2260, -6436, 9633, -11363, 11363, -9633, 6436, -2260},
};

__device__ inline REAL descale(int x, int shift) { return REAL((x + (1 << (shift - 1))) >> shift); }

__device__ inline void islow_dct(REAL (&x)[BLOCK], int shift) {
    REAL c[BLOCK];
#pragma unroll
    for (int u = 0; u < BLOCK; ++u) {
        int sum = 0;
#pragma unroll
        for (int j = 0; j < BLOCK; ++j) sum += ISLOW[u][j] * static_cast<int>(x[j]);
        c[u] = descale(sum, shift);
    }
#pragma unroll
    for (int u = 0; u < BLOCK; ++u) x[u] = c[u];
}

__device__ inline void islow_idct(REAL (&c)[BLOCK], int shift) {
    REAL x[BLOCK];
#pragma unroll
    for (int j = 0; j < BLOCK; ++j) {
        int sum = 0;
#pragma unroll
        for (int u = 0; u < BLOCK; ++u) sum += ISLOW[u][j] * static_cast<int>(c[u]);
        x[j] = descale(sum, shift);
    }
#pragma unroll
    for (int j = 0; j < BLOCK; ++j) c[j] = x[j];
}

// The four passes in their order: rows, columns, columns, rows.
__device__ inline void dct_rows(REAL (&x)[BLOCK]) { LIBJPEG ? islow_dct(x, 11) : dct(x); }

__device__ inline void dct_columns(REAL (&x)[BLOCK]) {
    LIBJPEG ? islow_dct(x, 15) : dct(x);
    if (LIBJPEG)
        for (int i = 0; i < BLOCK; ++i) x[i] *= REAL(0.125);  // libjpeg's coefficients are eight times T.81's
}

__device__ inline void idct_columns(REAL (&c)[BLOCK]) { LIBJPEG ? islow_idct(c, 11) : idct(c); }

__device__ inline void idct_rows(REAL (&c)[BLOCK]) { LIBJPEG ? islow_idct(c, 18) : idct(c); }
