// Entropy coding, of which only bits are counted: one struct describes a call. `library.py` has the same fields in the
// same order.

#pragma once

#include <cstdint>

// Symbols of DC or AC; bits by symbol, those of AC by 16 times a run of zeros, to 63, plus a category, then those of DC.
constexpr int64_t SYMBOLS = 256, AC_COSTS = 1024, DC_COSTS = 12, COSTS = AC_COSTS + DC_COSTS;

struct Scan {
    int64_t samples, components;  // components: 3, or 1 of gray
    int64_t is_double;            // whether coefficients are double, else float
    int64_t rows[2], columns[2];  // blocks of luma and chroma
    int64_t group_rows, group_columns;  // luma blocks that are stored together

    // Contiguous, (samples, rows, columns, 8, 8) of y, cb, cr.
    const void* blocks[3];
    // (samples, luma and chroma, DC and AC, SYMBOLS), zeros when `count` is called.
    int64_t* counts;

    // Of the VJP. One set of costs per sample, (samples, luma and chroma, COSTS), or of all where the stride is 0.
    const int32_t* costs;
    int64_t costs_stride;
    const double* cotangent;  // (samples,)
    void* g_blocks[3];
};
