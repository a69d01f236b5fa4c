// The DCT of eight numbers and its inverse, which is its adjoint: formulas of stages/dct.py.

#pragma once

#include "number.hpp"

// cos(k pi / 16) / 2; C4 is sqrt(1/8), too.
inline constexpr double C1 = 0.49039264020161522, C2 = 0.46193976625564337, C3 = 0.41573480615127262,
                        C4 = 0.35355339059327379, C5 = 0.27778511650980109, C6 = 0.19134171618254489,
                        C7 = 0.09754516100806413;

template <class V>
FORMULA void dct(V (&x)[8]) {
    typedef typename Real<V>::type R;
    const V a0 = x[0] + x[7], a1 = x[1] + x[6], a2 = x[2] + x[5], a3 = x[3] + x[4];
    const V b0 = x[0] - x[7], b1 = x[1] - x[6], b2 = x[2] - x[5], b3 = x[3] - x[4];
    const V e0 = a0 + a3, e1 = a1 + a2, e2 = a0 - a3, e3 = a1 - a2;
    // The odd half first: in double, a GPU's registers then hold all of it.
    x[1] = b0 * R(C1) + b1 * R(C3) + b2 * R(C5) + b3 * R(C7);
    x[3] = b0 * R(C3) - b1 * R(C7) - b2 * R(C1) - b3 * R(C5);
    x[5] = b0 * R(C5) - b1 * R(C1) + b2 * R(C7) + b3 * R(C3);
    x[7] = b0 * R(C7) - b1 * R(C5) + b2 * R(C3) - b3 * R(C1);
    x[0] = (e0 + e1) * R(C4);
    x[4] = (e0 - e1) * R(C4);
    x[2] = e2 * R(C2) + e3 * R(C6);
    x[6] = e2 * R(C6) - e3 * R(C2);
}

template <class V>
FORMULA void idct(V (&c)[8]) {
    typedef typename Real<V>::type R;
    const V p0 = (c[0] + c[4]) * R(C4), p1 = (c[0] - c[4]) * R(C4);
    const V p2 = c[2] * R(C2) + c[6] * R(C6), p3 = c[2] * R(C6) - c[6] * R(C2);
    const V o0 = c[1] * R(C1) + c[3] * R(C3) + c[5] * R(C5) + c[7] * R(C7);
    const V o1 = c[1] * R(C3) - c[3] * R(C7) - c[5] * R(C1) - c[7] * R(C5);
    const V o2 = c[1] * R(C5) - c[3] * R(C1) + c[5] * R(C7) + c[7] * R(C3);
    const V o3 = c[1] * R(C7) - c[3] * R(C5) + c[5] * R(C3) - c[7] * R(C1);
    const V e0 = p0 + p2, e3 = p0 - p2, e1 = p1 + p3, e2 = p1 - p3;
    c[0] = e0 + o0;
    c[7] = e0 - o0;
    c[1] = e1 + o1;
    c[6] = e1 - o1;
    c[2] = e2 + o2;
    c[5] = e2 - o2;
    c[3] = e3 + o3;
    c[4] = e3 - o3;
}

// --- libjpeg's "islow": constants of 13 fractional bits, and a rounding shift after each pass ---------------------

// The odd half of both directions: a, b, c, d multiplied by the 4x4 matrix of the odd cosines, in nine products.
template <class V>
FORMULA void islow_odd(V& a, V& b, V& c, V& d) {
    V z1 = a + d, z2 = b + c, z3 = a + c, z4 = b + d;
    const V z5 = (z3 + z4) * V(9633);
    z1 = z1 * V(-7373);
    z2 = z2 * V(-20995);
    z3 = z3 * V(-16069) + z5;
    z4 = z4 * V(-3196) + z5;
    a = a * V(2446) + z1 + z3;
    b = b * V(16819) + z2 + z4;
    c = c * V(25172) + z2 + z3;
    d = d * V(12299) + z1 + z4;
}

template <class V>
FORMULA void islow_dct(V (&x)[8], int shift) {
    V a = x[3] - x[4], b = x[2] - x[5], c = x[1] - x[6], d = x[0] - x[7];
    const V a0 = x[0] + x[7], a1 = x[1] + x[6], a2 = x[2] + x[5], a3 = x[3] + x[4];
    const V e0 = a0 + a3, e1 = a1 + a2, e2 = a0 - a3, e3 = a1 - a2;
    const V z = (e2 + e3) * V(4433);
    islow_odd(a, b, c, d);
    x[0] = descale((e0 + e1) * V(8192), shift);
    x[4] = descale((e0 - e1) * V(8192), shift);
    x[2] = descale(z + e2 * V(6270), shift);
    x[6] = descale(z - e3 * V(15137), shift);
    x[7] = descale(a, shift);
    x[5] = descale(b, shift);
    x[3] = descale(c, shift);
    x[1] = descale(d, shift);
}

template <class V>
FORMULA void islow_idct(V (&x)[8], int shift) {
    V a = x[7], b = x[5], c = x[3], d = x[1];
    const V z = (x[2] + x[6]) * V(4433);
    const V t2 = z - x[6] * V(15137), t3 = z + x[2] * V(6270);
    const V t0 = (x[0] + x[4]) * V(8192), t1 = (x[0] - x[4]) * V(8192);
    const V e0 = t0 + t3, e3 = t0 - t3, e1 = t1 + t2, e2 = t1 - t2;
    islow_odd(a, b, c, d);
    x[0] = descale(e0 + d, shift);
    x[7] = descale(e0 - d, shift);
    x[1] = descale(e1 + c, shift);
    x[6] = descale(e1 - c, shift);
    x[2] = descale(e2 + b, shift);
    x[5] = descale(e2 - b, shift);
    x[3] = descale(e3 + a, shift);
    x[4] = descale(e3 - a, shift);
}
