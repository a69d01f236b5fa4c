// What happens to one 8x8 block in registers.
//
// A DCT of rows is one of columns between two transpositions. In real arithmetic the order of the passes is free: the
// coefficients stay transposed between the way there and the way back, and two transpositions do. libjpeg's passes have
// their order (rows, columns; columns, rows), and its coefficients their natural one.

#pragma once

#include "../formulas/dct.hpp"
#include "../formulas/surrogates.hpp"
#include "call.hpp"
#include "operands.hpp"
#include "simd.hpp"

namespace {

constexpr double DARKEST = -128, BRIGHTEST = 127;
// Half up. Blocks of DC alone are whole eighths and often ties, which the last bit of a real DCT must not decide.
constexpr double SAMPLE_BIAS = 0.5 + 1.0 / (1 << 12);

template <class T>
INLINE void load(const T* from, int64_t pitch, Vec<T> (&x)[8]) {
    for (int i = 0; i < 8; ++i) x[i] = Vec<T>::load(from + i * pitch);
}
template <class T>
INLINE void store(const Vec<T> (&x)[8], T* to, int64_t pitch) {
    for (int i = 0; i < 8; ++i) x[i].store(to + i * pitch);
}
template <class T>
INLINE void multiply(Vec<T> (&x)[8], const T* factors) {
    for (int i = 0; i < 8; ++i) x[i] = x[i] * Vec<T>::load(factors + 8 * i);
}
template <class T>
INLINE void copy(const Vec<T> (&from)[8], Vec<T> (&to)[8]) {
    for (int i = 0; i < 8; ++i) to[i] = from[i];
}

// --- rounding -------------------------------------------------------------------------------------------------------

#define EACH(expression) \
    for (int i = 0; i < 8; ++i) x[i] = expression

template <class T>
INLINE void rounding_value(int64_t rounding, Vec<T> (&x)[8]) {
    switch (rounding) {
        case CUBIC: EACH(cubic_round(x[i])); break;
        case SINE: EACH(sine_round(x[i])); break;
        case FOURIER: EACH(fourier_round(x[i])); break;
        case TANH: EACH(tanh_round(x[i])); break;
        default: break;
    }
}

template <class T>
INLINE void rounding_derivative(int64_t rounding, Vec<T> (&x)[8]) {
    switch (rounding) {
        case CUBIC: EACH(cubic_round_derivative(x[i])); break;
        case SINE: EACH(sine_round_derivative(x[i])); break;
        case FOURIER: EACH(fourier_round_derivative(x[i])); break;
        case TANH: EACH(tanh_round_derivative(x[i])); break;
        default: EACH(Vec<T>(T(1))); break;
    }
}

template <class T>
INLINE void quantize(int64_t arithmetic, int64_t rounding, Vec<T> (&x)[8]) {
    if (arithmetic == SMOOTH)
        rounding_value(rounding, x);
    else
        EACH(round_half_away(x[i]));
}
#undef EACH

// --- both transforms ------------------------------------------------------------------------------------------------

// Samples -> transposed coefficients.
template <class T>
INLINE void forward_dct(Vec<T> (&x)[8]) {
    dct(x);
    transpose(x);
    dct(x);
}

// Transposed coefficients -> samples.
template <class T>
INLINE void inverse_dct(Vec<T> (&x)[8]) {
    idct(x);
    transpose(x);
    idct(x);
}

// libjpeg's, of whole numbers; coefficients in natural order. Its butterflies multiplied out, as in stages/dct.py, for
// numbers that integers cannot hold: infinity must not meet itself, as it would in differences.
constexpr double ISLOW[8][8] = {
    {8192, 8192, 8192, 8192, 8192, 8192, 8192, 8192},       //
    {11363, 9633, 6437, 2260, -2260, -6437, -9633, -11363},  //
    {10703, 4433, -4433, -10703, -10703, -4433, 4433, 10703},
    {9633, -2259, -11362, -6436, 6436, 11362, 2259, -9633},
    {8192, -8192, -8192, 8192, 8192, -8192, -8192, 8192},
    {6437, -11362, 2261, 9633, -9633, -2261, 11362, -6437},
    {4433, -10704, 10704, -4433, -4433, 10704, -10704, 4433},
    {2260, -6436, 9633, -11363, 11363, -9633, 6436, -2260},
};

// Both passes, the first along `strides[0]`.
template <class T, bool INVERSE>
__attribute__((noinline)) void islow_by_products(T* block) {
    const int strides[2] = {INVERSE ? 8 : 1, INVERSE ? 1 : 8}, shifts[2] = {11, INVERSE ? 18 : 15};
    double x[64], y[64];
    for (int i = 0; i < 64; ++i) x[i] = double(block[i]);
    for (int pass = 0; pass < 2; ++pass) {
        const int along = strides[pass], across = 9 - along;
        for (int line = 0; line < 8; ++line)
            for (int to = 0; to < 8; ++to) {
                double sum = 0;
                for (int from = 0; from < 8; ++from)
                    sum += (INVERSE ? ISLOW[from][to] : ISLOW[to][from]) * x[line * across + from * along];
                y[line * across + to * along] = __builtin_floor(sum / (1 << shifts[pass]) + 0.5);
            }
        for (int i = 0; i < 64; ++i) x[i] = y[i];
    }
    // libjpeg's coefficients are eight times T.81's.
    for (int i = 0; i < 64; ++i) block[i] = T(INVERSE ? x[i] : x[i] / 8);
}

// Integers hold all that a file can have: 63046 times the sum of magnitudes stays below 2^31. What is larger, or not
// a number, takes doubles. Samples are -128..127 or no numbers.
template <bool INVERSE, class T>
INLINE bool fits_integers(const Vec<T> (&x)[8]) {
    Vec<T> sum = T(0);
    for (int i = 0; i < 8; ++i) sum = sum + at_least(x[i], Vec<T>(T(0)) - x[i]);
    if (INVERSE) return sum_of(sum) < 34000;
    return (sum < Vec<T>(T(1e6))).bits() == 255;
}

template <class T, bool INVERSE>
INLINE void otherwise(Vec<T> (&x)[8]) {
    T block[64];
    store(x, block, 8);
    islow_by_products<T, INVERSE>(block);
    load<T>(block, 8, x);
}

INLINE void islow_forward(Vec<float> (&x)[8]) {
    if (__builtin_expect(!fits_integers<false>(x), 0)) return otherwise<float, false>(x);
    transpose(x);
    Ints y[8];
    for (int i = 0; i < 8; ++i) y[i] = to_ints(x[i]);
    islow_dct(y, 11);
    transpose(y);
    islow_dct(y, 15);
    for (int i = 0; i < 8; ++i) x[i] = to_floats(y[i]) * 0.125f;  // libjpeg's are eight times T.81's
}
INLINE void islow_inverse(Vec<float> (&x)[8]) {
    if (__builtin_expect(!fits_integers<true>(x), 0)) return otherwise<float, true>(x);
    Ints y[8];
    for (int i = 0; i < 8; ++i) y[i] = to_ints(x[i]);
    islow_idct(y, 11);
    transpose(y);
    islow_idct(y, 18);
    transpose(y);
    for (int i = 0; i < 8; ++i) x[i] = to_floats(y[i]);
}

// Doubles hold all of its products.
INLINE void islow_forward(Vec<double> (&x)[8]) {
    if (__builtin_expect(!fits_integers<false>(x), 0)) return otherwise<double, false>(x);
    transpose(x);
    islow_dct(x, 11);
    transpose(x);
    islow_dct(x, 15);
    for (int i = 0; i < 8; ++i) x[i] = x[i] * 0.125;
}
INLINE void islow_inverse(Vec<double> (&x)[8]) {
    if (__builtin_expect(!fits_integers<true>(x), 0)) return otherwise<double, true>(x);
    islow_idct(x, 11);
    transpose(x);
    islow_idct(x, 18);
    transpose(x);
}

// --- a block forward ------------------------------------------------------------------------------------------------

// Where a block's samples and coefficients are. Null: not there, or not kept.
template <class T>
struct BlockAt {
    T* plane;  // samples, in place
    int64_t pitch;
    T *u, *k;
    uint8_t* in_range;
};

// Samples -> coefficients -> samples, or what of it is asked for.
template <class T, int ARITHMETIC>
INLINE void block_forward(
    const BlockAt<T>& at, const Operands<T>& operands, int group, int64_t source, int64_t sink, int64_t rounding) {
    constexpr bool LIB = ARITHMETIC == LIBJPEG;
    Vec<T> x[8];
    if (source == FROM_IMAGE) {
        load(at.plane, at.pitch, x);
        if constexpr (LIB)
            islow_forward(x);
        else
            forward_dct(x);
        multiply(x, (LIB ? operands.reciprocals : operands.transposed_reciprocals)[group]);
        if (at.u) {
            Vec<T> u[8];
            copy(x, u);
            if (LIB) transpose(u);
            store(u, at.u, 8);
        }
        quantize(ARITHMETIC, rounding, x);
    } else if (source == FROM_U) {
        load(at.u, 8, x);
        if (LIB) transpose(x);
        quantize(ARITHMETIC, rounding, x);
    } else {
        load(at.k, 8, x);
        if (!LIB) transpose(x);
    }
    if (sink == TO_BLOCKS) {
        if (!LIB) transpose(x);
        return store(x, at.k, 8);
    }
    multiply(x, (LIB ? operands.steps : operands.transposed)[group]);
    if constexpr (LIB)
        islow_inverse(x);
    else
        inverse_dct(x);
    if (ARITHMETIC != SMOOTH) {
        if (!LIB)
            for (int i = 0; i < 8; ++i) x[i] = floor(x[i] + Vec<T>(T(SAMPLE_BIAS)));
        if (at.in_range)
            for (int i = 0; i < 8; ++i) at.in_range[i] = uint8_t(is_inside(x[i], T(DARKEST), T(BRIGHTEST)).bits());
        for (int i = 0; i < 8; ++i) x[i] = hard_clip(x[i], T(DARKEST), T(BRIGHTEST));
    }
    store(x, at.plane, at.pitch);
}

// --- a block backward -----------------------------------------------------------------------------------------------

template <class T>
struct BlockVjpAt {
    T* plane;  // cotangents of samples, in place; not read by encode's VJP
    int64_t pitch;
    const T *u, *k;
    T* g_k;  // read by encode's VJP, written by decode's
    const uint8_t* in_range;
    T* sums;  // of 64, added to; null: not needed
};

// Cotangents of decoded samples -> those of the samples that were encoded, and of the steps.
//
// Through quantization and back a step cancels: g r'(u) goes on, and the step gets g k - g r'(u) u.
template <class T>
INLINE void block_vjp(
    const BlockVjpAt<T>& at, const Operands<T>& operands, int group, int64_t source, int64_t sink, int64_t arithmetic,
    int64_t rounding, bool goes_on) {
    Vec<T> x[8], factor[8], u[8];
    if (sink == TO_IMAGE) {
        load(at.plane, at.pitch, x);
        uint64_t bits = ~uint64_t(0);
        if (at.in_range) memcpy(&bits, at.in_range, 8);
        if (bits != ~uint64_t(0))
            for (int i = 0; i < 8; ++i) x[i] = clip_vjp(x[i], Mask<T, 8>::of_bits(at.in_range[i]));
        forward_dct(x);
    } else if (at.g_k) {
        load<T>(at.g_k, 8, x);
        transpose(x);
        multiply(x, operands.transposed_reciprocals[group]);
    } else {
        for (auto& row : x) row = Vec<T>(T(0));
    }
    if (source == FROM_BLOCKS) {
        if (at.sums) {
            load<T>(at.k, 8, u);
            transpose(u);
            for (int i = 0; i < 8; ++i) (Vec<T>::load(at.sums + 8 * i) + x[i] * u[i]).store(at.sums + 8 * i);
        }
        if (at.g_k) {
            multiply(x, operands.transposed[group]);
            transpose(x);
            store(x, at.g_k, 8);
        }
        return;
    }
    load<T>(at.u, 8, u);
    copy(u, factor);
    rounding_derivative(rounding, factor);
    if (at.sums) {
        Vec<T> k[8];
        if (sink == TO_IMAGE) {
            copy(u, k);
            quantize(arithmetic, rounding, k);
        } else {
            for (auto& row : k) row = Vec<T>(T(0));
        }
        for (int i = 0; i < 8; ++i) {
            const Vec<T> share = x[i] * (k[i] - factor[i] * u[i]);
            (Vec<T>::load(at.sums + 8 * i) + share).store(at.sums + 8 * i);
        }
    }
    if (!goes_on) return;
    for (int i = 0; i < 8; ++i) x[i] = x[i] * factor[i];
    inverse_dct(x);
    store(x, at.plane, at.pitch);
}

}  // namespace
