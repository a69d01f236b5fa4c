// Chroma down- and upsampling: formulas of stages/sampling.py.

#pragma once

#include "number.hpp"

// What libjpeg adds before it floors, of even and odd columns of means, and of even and odd outputs along the last
// axis that is doubled.
struct Biases {
    double even, odd;
};

FORMULA constexpr Biases down_biases(int rows, int columns) {
    return rows == 2 && columns == 2 ? Biases{0.25, 0.5} : columns == 2 ? Biases{0, 0.5} : Biases{0.5, 0.5};
}

FORMULA constexpr Biases up_biases(int rows, int columns) {
    return rows == 2 && columns == 2 ? Biases{0.5, 7.0 / 16} : Biases{0.25, 0.5};
}

// The triangle filter: three quarters of the nearer sample, one of the farther. Also its adjoint, from sums of
// cotangents.
template <class V>
FORMULA V triangle(V near, V far) {
    typedef typename Real<V>::type R;
    return near * R(0.75) + far * R(0.25);
}
