// Color conversion of a pixel, by the map of its sample.

#pragma once

#include "../formulas/color.hpp"

#if CHANNELS == 3
struct Fixed {
    REAL matrix[9];
};

// By the compiler: kernels of float do nothing in double.
__host__ __device__ constexpr Fixed rounded(const double (&exact)[9]) {
    Fixed map = {};
    for (int i = 0; i < 9; ++i) map.matrix[i] = REAL(exact[i]);
    return map;
}

__device__ constexpr Fixed LIBJPEG_MAP = rounded(FIXED_MATRIX), LIBJPEG_INVERSE = rounded(FIXED_INVERSE);
__device__ constexpr REAL LIBJPEG_SHIFT[3] = {REAL(-LEVEL), 0, 0};
#endif

struct Affine {
    REAL matrix[9], shift[3];
};

// The map of a sample: one per sample where strides say so, else the same for all.
__device__ inline Affine affine(
    const REAL* matrix, Int matrix_stride, const REAL* shift, Int shift_stride, Int sample) {
    Affine map;
    for (int i = 0; i < 9; ++i) map.matrix[i] = matrix[sample * matrix_stride + i];
    for (int i = 0; i < 3; ++i) map.shift[i] = shift[sample * shift_stride + i];
    return map;
}

__device__ inline void mix(const Affine& map, const REAL (&in)[3], REAL (&out)[3]) {
    for (int i = 0; i < 3; ++i) out[i] = mix(map.matrix, i, in[0], in[1], in[2]) + map.shift[i];
}

// Cotangent of what was mixed, by a matrix (3, 3).
__device__ inline void mix_vjp(const REAL* matrix, const REAL (&cotangent)[3], REAL (&out)[3]) {
    for (int i = 0; i < 3; ++i) out[i] = mix_vjp(matrix, i, cotangent[0], cotangent[1], cotangent[2]);
}

// A sample of gray, or a pixel, to centered planes.
__device__ inline void to_planes(const Affine& map, REAL (&pixel)[CHANNELS]) {
    // What saving the image would store.
    if (LIBJPEG)
        for (int c = 0; c < CHANNELS; ++c) pixel[c] = clip(rint(pixel[c]), 0, 255);
#if CHANNELS == 1
    pixel[0] -= REAL(HARD ? LEVEL - COLOR_BIAS_LUMA : LEVEL);
#else
    REAL ycc[3];
    mix(map, pixel, ycc);
    for (int c = 0; c < 3; ++c) pixel[c] = ycc[c];
#endif
    if (HARD)
        for (int c = 0; c < CHANNELS; ++c) pixel[c] = floor(pixel[c]);
}

// The map of `to_planes`, its biases in it.
__device__ inline Affine forward_map(
    const REAL* matrix, Int matrix_stride, const REAL* shift, Int shift_stride, Int sample) {
    Affine map = {};
#if CHANNELS == 3
    map = LIBJPEG ? affine(LIBJPEG_MAP.matrix, 0, LIBJPEG_SHIFT, 0, 0)
                  : affine(matrix, matrix_stride, shift, shift_stride, sample);
    if (HARD)
        for (int i = 0; i < 3; ++i) map.shift[i] += i == 0 ? REAL(COLOR_BIAS_LUMA) : REAL(COLOR_BIAS_CHROMA);
#endif
    return map;
}

// The map back, likewise.
__device__ inline Affine backward_map(
    const REAL* inverse, Int inverse_stride, const REAL* unshift, Int unshift_stride, Int sample) {
    Affine map = {};
#if CHANNELS == 3
    map = affine(
        LIBJPEG ? LIBJPEG_INVERSE.matrix : inverse, LIBJPEG ? 0 : inverse_stride, unshift, unshift_stride, sample);
    for (int i = 0; i < 3; ++i) map.shift[i] = (LIBJPEG ? REAL(LEVEL) : map.shift[i]) + (HARD ? REAL(0.5) : REAL(0));
#endif
    return map;
}

// Centered planes to a pixel, and a bit for each channel that was in range.
__device__ inline unsigned char to_rgb(const Affine& map, REAL (&pixel)[CHANNELS]) {
#if CHANNELS == 1
    pixel[0] += REAL(LEVEL + (HARD ? 0.5 : 0));
#else
    REAL rgb[3];
    mix(map, pixel, rgb);
    for (int c = 0; c < 3; ++c) pixel[c] = rgb[c];
#endif
    unsigned char inside = 0;
    for (int c = 0; c < CHANNELS; ++c) {
        const REAL x = HARD ? floor(pixel[c]) : pixel[c];
        inside |= static_cast<unsigned char>(is_inside(x, 0, 255) << c);
        pixel[c] = clip(x, 0, 255);
    }
    return inside;
}
