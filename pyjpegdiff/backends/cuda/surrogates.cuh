// Rounding and clip, each with its surrogate: formulas and conventions of stages/surrogates.py.

#pragma once

#define CUBIC 0
#define IDENTITY 1
#define SINE 2
#define FOURIER 3
#define TANH 4

constexpr REAL LEAK = REAL(1e-3);

#if ROUNDING == SINE || ROUNDING == FOURIER
constexpr REAL PI = REAL(3.14159265358979323846);
// Reduced to one period before the sine: 2 pi x itself loses digits where x is large.
__device__ inline REAL phase(REAL x) { return 2 * PI * (x - rint(x)); }
#endif
#if ROUNDING == FOURIER
constexpr int FOURIER_TERMS = 10;
#elif ROUNDING == TANH
constexpr REAL TANH_STEEPNESS = 5;
constexpr REAL TANH_OF_HALF = REAL(0.98661429815143028);  // tanh(TANH_STEEPNESS / 2)
#endif

__device__ inline REAL rounding_value(REAL x) {
#if ROUNDING == CUBIC
    const REAL d = x - rint(x);
    return rint(x) + d * d * d;
#elif ROUNDING == IDENTITY
    return x;
#elif ROUNDING == SINE
    return x - sin(phase(x)) / (2 * PI);
#elif ROUNDING == FOURIER
    REAL sum = 0;
    for (int k = 1; k <= FOURIER_TERMS; ++k) sum += (k % 2 ? 1 : -1) / (PI * k) * sin(k * phase(x));
    return x - sum;
#elif ROUNDING == TANH
    const REAL t = tanh(TANH_STEEPNESS * (x - floor(x) - REAL(0.5)));
    return floor(x) + REAL(0.5) + t / (2 * TANH_OF_HALF);
#endif
}

__device__ inline REAL rounding_derivative(REAL x) {
#if ROUNDING == CUBIC
    const REAL d = x - rint(x);
    return 3 * d * d;
#elif ROUNDING == IDENTITY
    return 1;
#elif ROUNDING == SINE
    return 1 - cos(phase(x));
#elif ROUNDING == FOURIER
    REAL sum = 0;
    for (int k = 1; k <= FOURIER_TERMS; ++k) sum += (k % 2 ? 1 : -1) * cos(k * phase(x));
    return 1 - 2 * sum;
#elif ROUNDING == TANH
    const REAL t = tanh(TANH_STEEPNESS * (x - floor(x) - REAL(0.5)));
    return (1 - t * t) * (TANH_STEEPNESS / (2 * TANH_OF_HALF));
#endif
}

// Ties away from zero: half-to-even after a nudge, as round_half_away in stages/surrogates.py.
__device__ inline REAL round_half_away(REAL x) { return rint(x * REAL(1 + 1.0 / (1 << 20))); }

__device__ inline bool is_inside(REAL x, REAL low, REAL high) { return x >= low && x <= high; }

__device__ inline REAL clip(REAL x, REAL low, REAL high) {
    const REAL clipped = x < low ? low : x > high ? high : x;  // what is not a number stays so
    return HARD ? clipped : clipped + LEAK * (x - clipped);
}

__device__ inline REAL clip_vjp(REAL cotangent, bool inside) { return inside ? cotangent : LEAK * cotangent; }
