// Rounding and clip as macros choose them.

#pragma once

#include "../formulas/surrogates.hpp"

#define CUBIC 0
#define IDENTITY 1
#define SINE 2
#define FOURIER 3
#define TANH 4

__device__ inline REAL rounding_value(REAL x) {
#if ROUNDING == CUBIC
    return cubic_round(x);
#elif ROUNDING == IDENTITY
    return x;
#elif ROUNDING == SINE
    return sine_round(x);
#elif ROUNDING == FOURIER
    return fourier_round(x);
#elif ROUNDING == TANH
    return tanh_round(x);
#endif
}

__device__ inline REAL rounding_derivative(REAL x) {
#if ROUNDING == CUBIC
    return cubic_round_derivative(x);
#elif ROUNDING == IDENTITY
    return 1;
#elif ROUNDING == SINE
    return sine_round_derivative(x);
#elif ROUNDING == FOURIER
    return fourier_round_derivative(x);
#elif ROUNDING == TANH
    return tanh_round_derivative(x);
#endif
}

__device__ inline REAL quantized(REAL u) { return HARD ? round_half_away(u) : rounding_value(u); }

__device__ inline REAL clip(REAL x, REAL low, REAL high) {
    return HARD ? hard_clip(x, low, high) : soft_clip(x, low, high);
}
