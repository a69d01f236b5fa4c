// The C ABI: one struct describes a call. `library.py` has the same fields in the same order.

#pragma once

#include <cstdint>

// Types of pixels.
enum Kind : int64_t { U8, I8, U16, I16, U32, I32, U64, I64, F16, F32, F64 };
enum Arithmetic : int64_t { SMOOTH, STE, LIBJPEG };
enum Rounding : int64_t { CUBIC, IDENTITY, SINE, FOURIER, TANH, RATIONAL };
// Where coefficients come from, and what becomes of them.
enum Source : int64_t { FROM_IMAGE, FROM_BLOCKS, FROM_U };
enum Sink : int64_t { TO_IMAGE, TO_BLOCKS, TO_COLOR_SUMS };

// An image (samples, channels, rows, columns) in the caller's memory; strides are in bytes.
struct Pixels {
    void* data;
    int64_t kind, sample, channel, row, column;
};

struct Call {
    int64_t samples, height, width;
    int64_t channels;       // 3, or 1 of gray
    int64_t rows, columns;  // pixels to a chroma sample; 1 and 1 of gray
    int64_t is_double;      // whether numbers are double, else float
    int64_t arithmetic, rounding;
    int64_t cubic_flooring;  // whether the floor's surrogate is the cubic, else the identity
    int64_t elastic;         // whether steps get the elastic cotangent, else that of the rounding's surrogate
    int64_t source, sink;    // of the forward
    double scale;            // pixel values 0..255 per unit of the caller's

    Pixels image, result;       // of the forward; the VJP reads `image` for gradients of color alone
    Pixels cotangent, g_image;  // of the VJP

    // Parameters of one sample, one after the other, (samples, parameters_stride), or of all where the stride is 0:
    // quality and tables, of decode the steps instead, and of color the matrix (3, 3) and the offset.
    const void* parameters;
    int64_t parameters_stride;
    void* g_parameters;      // their cotangents, of the same form
    const void* g_steps[2];  // cotangents of the steps that encode gives: one per set of parameters; null: zeros
    // One set of operands per set of parameters: see operands.hpp. Written by `prepare`.
    void* operands;

    // Contiguous, (samples, block rows, block columns, 8, 8) of y, cb, cr.
    void* blocks[3];    // quantized: input of decode, output of encode
    void* g_blocks[3];  // their cotangents: output of decode's VJP, input of encode's; an input may be null: zeros

    // Residuals: `residuals_stride` bytes of each sample; null: not kept. In them, from their first byte:
    void* residuals;
    int64_t residuals_stride;
    // Coefficients in units of their step, block after block, each transposed: (planes, block rows, block columns, 64).
    int64_t u[2];
    // A bit per sample that the clip of decoded planes left as it is: (planes, block rows, block columns, 8).
    int64_t in_range[2];
    // A bit per pixel that the image's clip left as it is: (channels, height, ceil(width / 8)).
    int64_t inside;
    int64_t has_u, has_in_range, has_inside;

    // Sums over each strip of every sample: see operands.hpp. Zeroed by `prepare`; null: neither steps nor color.
    void* sums;
    int64_t needs_image, needs_steps, needs_color;  // of the VJP
};
