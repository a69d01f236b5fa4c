// Quality and tables -> step sizes, and color -> both of its maps: formulas of stages/quantization.py and color.py.

#pragma once

#include "number.hpp"
#include "surrogates.hpp"

// A step function's value, or its surrogate's, and the surrogate's derivative either way.
template <class R>
struct Stepped {
    R value, derivative;
};

template <class R>
FORMULA Stepped<R> floored(R x, bool hard, bool cubic) {
    const R below = floor(x), d = x - below - R(0.5);
    return Stepped<R>{hard ? below : cubic ? below + d * d * d : x - R(0.5), cubic ? 3 * d * d : R(1)};
}

// Scale of the tables, percent, and its derivative with respect to quality.
template <class R>
FORMULA Stepped<R> scale_of(R quality, bool hard, bool cubic) {
    const R q = hard_clip(quality, R(1), R(100));
    Stepped<R> percent = floored(q < 50 ? 5000 / q : 200 - 2 * q, hard, cubic);
    if (!hard) percent.value += cubic ? R(0.125) : R(0.5);  // what the surrogate misses at integers
    percent.derivative = clip_vjp((q < 50 ? -5000 / (q * q) : R(-2)) * percent.derivative, q == quality);
    return percent;
}

// A step size, and its derivative with respect to table entry times scale.
template <class R>
FORMULA Stepped<R> step_of(R entry, R scale, bool hard, bool cubic) {
    const Stepped<R> step = floored((entry * scale + 50) / 100, hard, cubic);
    const R clipped = hard ? hard_clip(step.value, R(1), R(255)) : soft_clip(step.value, R(1), R(255));
    return Stepped<R>{clipped, clip_vjp(step.derivative / 100, is_inside(step.value, R(1), R(255)))};
}

// The inverse of a matrix by its adjugate: columns are cross products of rows, over the determinant.
template <class R>
FORMULA void invert(const R* m, R* inverse) {
    for (int i = 0; i < 3; ++i) {
        const R *a = m + 3 * ((i + 1) % 3), *b = m + 3 * ((i + 2) % 3);
        for (int j = 0; j < 3; ++j) inverse[3 * j + i] = a[(j + 1) % 3] * b[(j + 2) % 3] - a[(j + 2) % 3] * b[(j + 1) % 3];
    }
    const R determinant = m[0] * inverse[0] + m[1] * inverse[3] + m[2] * inverse[6];
    for (int i = 0; i < 9; ++i) inverse[i] /= determinant;
}
