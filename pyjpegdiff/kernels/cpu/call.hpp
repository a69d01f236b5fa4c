// The C ABI: one struct describes a call. `library.py` has the same fields in the same order.

#pragma once

#include <cstdint>

// Types of pixels.
enum Kind : int64_t { U8, I8, U16, I16, U32, I32, U64, I64, F16, F32, F64 };
enum Arithmetic : int64_t { SMOOTH, STE, LIBJPEG };
enum Rounding : int64_t { CUBIC, IDENTITY, SINE, FOURIER, TANH };
// Where coefficients come from, and what becomes of them.
enum Source : int64_t { FROM_IMAGE, FROM_BLOCKS, FROM_U };
enum Sink : int64_t { TO_IMAGE, TO_BLOCKS, TO_COLOR_SUMS };

// An image (samples, channels, rows, columns) in the caller's memory; strides are in bytes.
struct Pixels {
    void* data;
    int64_t kind, sample, channel, row, column;
};

// An operand or a cotangent of one, contiguous: `stride` elements from sample to sample, 0 where all share it.
struct Operand {
    void* data;
    int64_t stride;
};

struct Call {
    int64_t samples, height, width;
    int64_t channels;       // 3, or 1 of gray
    int64_t rows, columns;  // pixels to a chroma sample; 1 and 1 of gray
    int64_t is_double;      // whether numbers are double, else float
    int64_t arithmetic, rounding;
    int64_t cubic_flooring;  // whether the floor's surrogate is the cubic, else the identity
    int64_t source, sink;    // of the forward
    double scale;            // pixel values 0..255 per unit of the caller's

    Pixels image, result;       // of the forward; the VJP reads `image` for gradients of color alone
    Pixels cotangent, g_image;  // of the VJP

    Operand quality, table[2], matrix, offset;            // inputs; of gray the last three are null
    Operand g_quality, g_table[2], g_matrix, g_offset;    // their cotangents, added to what is there; null: not needed
    Operand steps[2], g_steps[2];                         // of decode inputs, of encode outputs; and cotangents
    // One set of operands per sample, or one for all: see operands.hpp. Written by `prepare`.
    void* operands;
    int64_t operands_stride;

    // Contiguous, (samples, block rows, block columns, 8, 8) of y, cb, cr.
    void* blocks[3];    // quantized: input of decode, output of encode
    void* g_blocks[3];  // their cotangents: output of decode's VJP, input of encode's; an input may be null: zeros

    // Residuals. Null: not kept.
    // Coefficients in units of their step, block after block, each transposed: (samples, planes, block rows, block
    // columns, 64).
    void* u[2];
    // A bit per pixel that the image's clip left as it is, (samples, channels, height, ceil(width / 8)).
    uint8_t* inside;
    // A bit per sample that the clip of decoded planes left as it is: (samples, planes, block rows, block columns, 8).
    uint8_t* in_range[2];

    // Sums over each strip of every sample, SUMS numbers a strip: see operands.hpp. Null: neither steps nor color.
    void* sums;
    int64_t needs_image, needs_steps, needs_color;  // of the VJP
};
