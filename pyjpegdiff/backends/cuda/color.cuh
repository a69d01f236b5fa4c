// Color conversion of a pixel, planes centered: formulas of stages/color.py.

#pragma once

constexpr REAL LEVEL = 128;
// Half up for luma; for chroma libjpeg stays one unit of its fixed point below.
__device__ constexpr REAL COLOR_BIAS[3] = {REAL(0.5), REAL(0.5 - 1.0 / 65536), REAL(0.5 - 1.0 / 65536)};

#if CHANNELS == 3
// libjpeg's constants, integers over 2^16; every sum below is exact in float, in whatever order it is taken.
constexpr REAL UNIT = REAL(1.0 / 65536);
__device__ constexpr REAL FIXED_MATRIX[9] = {
    19595 * UNIT, 38470 * UNIT, 7471 * UNIT,
    -11059 * UNIT, -21709 * UNIT, 32768 * UNIT,
    32768 * UNIT, -27439 * UNIT, -5329 * UNIT,
};
__device__ constexpr REAL FIXED_SHIFT[3] = {-LEVEL, 0, 0};
__device__ constexpr REAL FIXED_INVERSE[9] = {1, 0, 91881 * UNIT, 1, -22554 * UNIT, -46802 * UNIT, 1, 116130 * UNIT, 0};
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
    for (int i = 0; i < 3; ++i)
        out[i] =
            map.matrix[3 * i] * in[0] + map.matrix[3 * i + 1] * in[1] + map.matrix[3 * i + 2] * in[2] + map.shift[i];
}

// Cotangent of what was mixed, by a matrix (3, 3).
__device__ inline void mix_vjp(const REAL* matrix, const REAL (&cotangent)[3], REAL (&out)[3]) {
    for (int i = 0; i < 3; ++i)
        out[i] = matrix[i] * cotangent[0] + matrix[3 + i] * cotangent[1] + matrix[6 + i] * cotangent[2];
}

// The inverse of a matrix by its adjugate: rows are cross products of columns, over the determinant.
__device__ inline void invert(const REAL* m, REAL* inverse) {
    for (int i = 0; i < 3; ++i) {
        const int j = (i + 1) % 3, k = (i + 2) % 3;
        for (int row = 0; row < 3; ++row) {
            const int next = (row + 1) % 3, last = (row + 2) % 3;
            inverse[3 * i + row] = m[3 * next + j] * m[3 * last + k] - m[3 * last + j] * m[3 * next + k];
        }
    }
    const REAL determinant = m[0] * inverse[0] + m[3] * inverse[1] + m[6] * inverse[2];
    for (int i = 0; i < 9; ++i) inverse[i] /= determinant;
}

// A sample of gray, or a pixel, to centered planes.
__device__ inline void to_planes(const Affine& map, REAL (&pixel)[CHANNELS]) {
    // What saving the image would store.
    if (LIBJPEG)
        for (int c = 0; c < CHANNELS; ++c) pixel[c] = clip(rint(pixel[c]), 0, 255);
#if CHANNELS == 1
    pixel[0] -= HARD ? LEVEL - COLOR_BIAS[0] : LEVEL;
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
    map =
        LIBJPEG ? affine(FIXED_MATRIX, 0, FIXED_SHIFT, 0, 0) : affine(matrix, matrix_stride, shift, shift_stride, sample);
    if (HARD)
        for (int i = 0; i < 3; ++i) map.shift[i] += COLOR_BIAS[i];
#endif
    return map;
}

// The map back, likewise.
__device__ inline Affine backward_map(
    const REAL* inverse, Int inverse_stride, const REAL* unshift, Int unshift_stride, Int sample) {
    Affine map = {};
#if CHANNELS == 3
    map = affine(LIBJPEG ? FIXED_INVERSE : inverse, LIBJPEG ? 0 : inverse_stride, unshift, unshift_stride, sample);
    for (int i = 0; i < 3; ++i) map.shift[i] = (LIBJPEG ? LEVEL : map.shift[i]) + (HARD ? REAL(0.5) : REAL(0));
#endif
    return map;
}

// Centered planes to a pixel, and a bit for each channel that was in range.
__device__ inline unsigned char to_rgb(const Affine& map, REAL (&pixel)[CHANNELS]) {
#if CHANNELS == 1
    pixel[0] += LEVEL + (HARD ? REAL(0.5) : REAL(0));
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
