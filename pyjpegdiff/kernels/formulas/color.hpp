// Color conversion of pixels, planes centered: formulas of stages/color.py.

#pragma once

#include "number.hpp"

inline constexpr double LEVEL = 128;
// Half up for luma; for chroma libjpeg stays one unit of its fixed point below.
inline constexpr double UNIT = 1.0 / 65536, COLOR_BIAS_LUMA = 0.5, COLOR_BIAS_CHROMA = 0.5 - UNIT;

// libjpeg's constants, integers over 2^16; every sum is exact in float, in whatever order it is taken.
inline constexpr double FIXED_MATRIX[9] = {
    19595 * UNIT,  38470 * UNIT, 7471 * UNIT,   //
    -11059 * UNIT, -21709 * UNIT, 32768 * UNIT,  //
    32768 * UNIT,  -27439 * UNIT, -5329 * UNIT,
};
inline constexpr double FIXED_INVERSE[9] = {1, 0, 91881 * UNIT, 1, -22554 * UNIT, -46802 * UNIT, 1, 116130 * UNIT, 0};

// Row `row` of a matrix (3, 3), and column `column`, times three numbers.
template <class V, class M>
FORMULA V mix(const M* matrix, int row, V a, V b, V c) {
    return a * matrix[3 * row] + b * matrix[3 * row + 1] + c * matrix[3 * row + 2];
}

template <class V, class M>
FORMULA V mix_vjp(const M* matrix, int column, V a, V b, V c) {
    return a * matrix[column] + b * matrix[3 + column] + c * matrix[6 + column];
}
