// Rounding and clip, each with its surrogate: formulas and conventions of stages/surrogates.py and stages/rational.py.

#pragma once

#include "number.hpp"

// --- sine, cosine and hyperbolic tangent, by series: the same on every processor -----------------------------------

template <class V>
struct Angle {
    V sine, cosine;
};

// Of pi t, |t| <= 1/2: to 1e-16 by the first terms of their series.
template <class V>
FORMULA Angle<V> half_turns(V t) {
    typedef typename Real<V>::type R;
    const V x = t * R(3.14159265358979323846), y = x * x;
    V sine = R(1.0 / 51090942171709440000.0), cosine = R(1.0 / 2432902008176640000.0);
    sine = sine * y - V(R(1.0 / 121645100408832000.0));
    sine = sine * y + V(R(1.0 / 355687428096000.0));
    sine = sine * y - V(R(1.0 / 1307674368000.0));
    sine = sine * y + V(R(1.0 / 6227020800.0));
    sine = sine * y - V(R(1.0 / 39916800.0));
    sine = sine * y + V(R(1.0 / 362880.0));
    sine = sine * y - V(R(1.0 / 5040.0));
    sine = sine * y + V(R(1.0 / 120.0));
    sine = sine * y - V(R(1.0 / 6.0));
    sine = sine * y * x + x;
    cosine = cosine * y - V(R(1.0 / 6402373705728000.0));
    cosine = cosine * y + V(R(1.0 / 20922789888000.0));
    cosine = cosine * y - V(R(1.0 / 87178291200.0));
    cosine = cosine * y + V(R(1.0 / 479001600.0));
    cosine = cosine * y - V(R(1.0 / 3628800.0));
    cosine = cosine * y + V(R(1.0 / 40320.0));
    cosine = cosine * y - V(R(1.0 / 720.0));
    cosine = cosine * y + V(R(1.0 / 24.0));
    cosine = cosine * y - V(R(1.0 / 2.0));
    cosine = cosine * y + V(R(1.0));
    return Angle<V>{sine, cosine};
}

// Of 2 pi x. Reduced to one period first: 2 pi x itself loses digits where x is large.
template <class V>
FORMULA Angle<V> turns(V x) {
    typedef typename Real<V>::type R;
    const Angle<V> half = half_turns(x - rint(x));
    return Angle<V>{half.sine * half.cosine * R(2), V(R(1)) - half.sine * half.sine * R(2)};
}

// tanh(y), |y| <= 5/2: exp(2 y) as an eighth power, whose exponent is small enough for the series.
template <class V>
FORMULA V hyperbolic_tangent(V y) {
    typedef typename Real<V>::type R;
    const V x = y * R(0.25);
    V power = R(1.0 / 87178291200.0);
    const R factorials[14] = {R(1.0 / 6227020800.0), R(1.0 / 479001600.0), R(1.0 / 39916800.0), R(1.0 / 3628800.0),
                              R(1.0 / 362880.0),     R(1.0 / 40320.0),     R(1.0 / 5040.0),     R(1.0 / 720.0),
                              R(1.0 / 120.0),        R(1.0 / 24.0),        R(1.0 / 6.0),        R(0.5),
                              R(1),                  R(1)};
    UNROLLED
    for (int i = 0; i < 14; ++i) power = power * x + V(factorials[i]);
    power = power * power;
    power = power * power;
    power = power * power;
    return (power - V(R(1))) / (power + V(R(1)));
}

// --- rounding: value and derivative ---------------------------------------------------------------------------------

inline constexpr int FOURIER_TERMS = 10;
inline constexpr double TANH_STEEPNESS = 5, TANH_OF_HALF = 0.98661429815143028;  // tanh(TANH_STEEPNESS / 2)

template <class V>
FORMULA V cubic_round(V x) {
    const V nearest = rint(x), d = x - nearest;
    return nearest + d * d * d;
}

template <class V>
FORMULA V cubic_round_derivative(V x) {
    typedef typename Real<V>::type R;
    const V d = x - rint(x);
    return d * d * R(3);
}

template <class V>
FORMULA V sine_round(V x) {
    typedef typename Real<V>::type R;
    return x - turns(x).sine * R(0.5 / 3.14159265358979323846);
}

template <class V>
FORMULA V sine_round_derivative(V x) {
    typedef typename Real<V>::type R;
    const V sine = half_turns(x - rint(x)).sine;
    return sine * sine * R(2);
}

// sin(k a) and cos(k a) from those of (k - 1) a and (k - 2) a.
template <class V>
FORMULA V fourier_round(V x) {
    typedef typename Real<V>::type R;
    const Angle<V> angle = turns(x);
    V before = R(0), now = angle.sine, sum = angle.sine;
    UNROLLED
    for (int k = 2; k <= FOURIER_TERMS; ++k) {
        const V next = angle.cosine * now * R(2) - before;
        before = now;
        now = next;
        sum = sum + now * R(k % 2 ? 1.0 / k : -1.0 / k);
    }
    return x - sum * R(1 / 3.14159265358979323846);
}

template <class V>
FORMULA V fourier_round_derivative(V x) {
    typedef typename Real<V>::type R;
    const Angle<V> angle = turns(x);
    V before = R(1), now = angle.cosine, sum = angle.cosine;
    UNROLLED
    for (int k = 2; k <= FOURIER_TERMS; ++k) {
        const V next = angle.cosine * now * R(2) - before;
        before = now;
        now = next;
        sum = sum + now * R(k % 2 ? 1 : -1);
    }
    return V(R(1)) - sum * R(2);
}

template <class V>
FORMULA V tanh_round(V x) {
    typedef typename Real<V>::type R;
    const V below = floor(x);
    const V t = hyperbolic_tangent((x - below - V(R(0.5))) * R(TANH_STEEPNESS));
    return below + V(R(0.5)) + t * R(0.5 / TANH_OF_HALF);
}

template <class V>
FORMULA V tanh_round_derivative(V x) {
    typedef typename Real<V>::type R;
    const V t = hyperbolic_tangent((x - floor(x) - V(R(0.5))) * R(TANH_STEEPNESS));
    return (V(R(1)) - t * t) * R(TANH_STEEPNESS / (2 * TANH_OF_HALF));
}

inline constexpr double SOFTNESS = 8;  // in gray levels

// Of the softness in units of the step.
template <class V>
FORMULA V rational_round(V x, V softness) {
    typedef typename Real<V>::type R;
    const V nearest = rint(x), d = x - nearest;
    return nearest + softness * d * R(1.0 / 3) / (softness + V(R(1)) - d * d * R(4));
}

template <class V>
FORMULA V rational_round_derivative(V x, V softness) {
    typedef typename Real<V>::type R;
    const V d = x - rint(x), square = d * d * R(4), below = softness + V(R(1)) - square;
    return softness * R(1.0 / 3) * (softness + V(R(1)) + square) / (below * below);
}

// The softness times the derivative with respect to it.
template <class V>
FORMULA V rational_round_elongation(V x, V softness) {
    typedef typename Real<V>::type R;
    const V d = x - rint(x), square = d * d * R(4), below = softness + V(R(1)) - square;
    return softness * R(1.0 / 3) * d * (V(R(1)) - square) / (below * below);
}

// Ties away from zero: half-to-even after a nudge, as round_half_away in stages/surrogates.py.
template <class V>
FORMULA V round_half_away(V x) {
    typedef typename Real<V>::type R;
    return rint(x * R(1 + 1.0 / (1 << 20)));
}

// --- clip: slope 1 inside, bounds included, LEAK outside ------------------------------------------------------------

inline constexpr double LEAK = 1e-3;

template <class V>
FORMULA V hard_clip(V x, typename Real<V>::type low, typename Real<V>::type high) {
    return at_most(V(high), at_least(V(low), x));
}

template <class V>
FORMULA V soft_clip(V x, typename Real<V>::type low, typename Real<V>::type high) {
    typedef typename Real<V>::type R;
    const V clipped = hard_clip(x, low, high);
    return clipped + (x - clipped) * R(LEAK);
}

template <class V>
FORMULA auto is_inside(V x, typename Real<V>::type low, typename Real<V>::type high) {
    return (x >= V(low)) & (x <= V(high));
}

template <class V, class Mask>
FORMULA V clip_vjp(V cotangent, Mask inside) {
    typedef typename Real<V>::type R;
    return select(inside, cotangent, cotangent * R(LEAK));
}
