// Rounding and clip as macros choose them.

#pragma once

#include "../formulas/surrogates.hpp"

#define CUBIC 0
#define IDENTITY 1
#define SINE 2
#define FOURIER 3
#define TANH 4
#define RATIONAL 5

__device__ inline REAL rounding_value(REAL x, REAL step) {
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
#elif ROUNDING == RATIONAL
    return rational_round(x, REAL(SOFTNESS) / step);
#endif
}

__device__ inline REAL rounding_derivative(REAL x, REAL step) {
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
#elif ROUNDING == RATIONAL
    return rational_round_derivative(x, REAL(SOFTNESS) / step);
#endif
}

// By how much the surrogate falls per relative growth of the step.
__device__ inline REAL rounding_fall(REAL x, REAL step) {
    const REAL by_quotient = rounding_derivative(x, step) * x;
    return ROUNDING == RATIONAL ? by_quotient + rational_round_elongation(x, REAL(SOFTNESS) / step) : by_quotient;
}

__device__ inline REAL quantized(REAL u, REAL step) { return HARD ? round_half_away(u) : rounding_value(u, step); }

__device__ inline REAL clip(REAL x, REAL low, REAL high) {
    return HARD ? hard_clip(x, low, high) : soft_clip(x, low, high);
}
