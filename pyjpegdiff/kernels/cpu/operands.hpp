// The small arrays that every sample meets, and the sums of their cotangents.

#pragma once

template <class T>
struct Operands {
    T steps[2][64], reciprocals[2][64];                // of luma and chroma, in their natural order
    T transposed[2][64], transposed_reciprocals[2][64];  // the same, as coefficients lie in registers
    T matrix[9], shift[3], inverse[9], unshift[3];     // see color.hpp; biases are not in them
};

// Cotangents of step sizes, transposed, and of the four color operands.
template <class T>
struct Sums {
    T steps[2][64], matrix[9], shift[3], inverse[9], unshift[3];
};
