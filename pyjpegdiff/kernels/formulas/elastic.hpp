// The elastic cotangent of a step size: formulas of stages/elastic.py.

#pragma once

#include "number.hpp"

inline constexpr double REACH = 0.25, LEAST_ELASTICITY = 0.05;
inline constexpr int ELASTIC_SUMS = 3;  // of G times the error, of the change of its square, of its square

template <class V>
FORMULA V squared_error(V u, typename Real<V>::type factor, typename Real<V>::type reciprocal) {
    const V error = rint(u * reciprocal) * factor - u;
    return error * error;
}

template <class V>
FORMULA V change_of_square(V u) {
    typedef typename Real<V>::type R;
    const V far = squared_error(u, R(1 + REACH), R(1 / (1 + REACH)));
    return far - squared_error(u, R(1 - REACH), R(1 / (1 - REACH)));
}

FORMULA double elastic_cotangent(double product, double change, double square) {
    // Where there is no error, the product is zero, too.
    const double elasticity = square > 0 ? change / (4 * REACH * square) : 0;
    return product * (elasticity < LEAST_ELASTICITY ? LEAST_ELASTICITY : elasticity > 1 ? 1 : elasticity);
}
