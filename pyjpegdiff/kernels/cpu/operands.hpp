// The small arrays that every sample meets, and the sums of their cotangents.

#pragma once

#include "../formulas/elastic.hpp"

template <class T>
struct Operands {
    T steps[2][64], reciprocals[2][64];                // of luma and chroma, in their natural order
    T transposed[2][64], transposed_reciprocals[2][64];  // the same, as coefficients lie in registers
    T matrix[9], shift[3], inverse[9], unshift[3];     // see color.hpp; biases are not in them
};

// Of one group's step sizes, transposed: cotangents, and what the elastic ones need, for which see elastic.hpp.
template <class T>
struct StepSums {
    T shares[64], elastic[ELASTIC_SUMS][64];
};

// Sums for step sizes, and cotangents of the four color operands.
template <class T>
struct Sums {
    StepSums<T> steps[2];
    T matrix[9], shift[3], inverse[9], unshift[3];
};
