// The DCT of a block and back, in registers, or of two blocks side by side.
//
// A DCT of rows is one of columns between two transpositions. In real arithmetic the order of the passes is free: the
// coefficients stay transposed between the way there and the way back, and two transpositions do. libjpeg's passes have
// their order (rows, columns; columns, rows), and its coefficients their natural one.

#pragma once

#include "../formulas/dct.hpp"
#include "permutations.hpp"

namespace {

template <class V, class T>
INLINE void load(const T* from, int64_t pitch, V (&x)[8]) {
    for (int i = 0; i < 8; ++i) x[i] = V::load(from + i * pitch);
}
template <class V, class T>
INLINE void store(const V (&x)[8], T* to, int64_t pitch) {
    for (int i = 0; i < 8; ++i) x[i].store(to + i * pitch);
}
// Of blocks that lie one after the other.
template <class V, class T>
INLINE void load_blocks(const T* from, V (&x)[8]) {
    for (int i = 0; i < 8; ++i) load_rows(from + 8 * i, x[i]);
}
template <class V, class T>
INLINE void store_blocks(const V (&x)[8], T* to) {
    for (int i = 0; i < 8; ++i) store_rows(x[i], to + 8 * i);
}
template <class V, class T>
INLINE void stream_blocks(const V (&x)[8], T* to) {
    for (int i = 0; i < 8; ++i) stream_rows(x[i], to + 8 * i);
}
// By the same 64 factors.
template <class V, class T>
INLINE void multiply(V (&x)[8], const T* factors) {
    for (int i = 0; i < 8; ++i) {
        V row;
        repeat(Vec<T, 8>::load(factors + 8 * i), row);
        x[i] = x[i] * row;
    }
}
template <class V>
INLINE void copy(const V (&from)[8], V (&to)[8]) {
    for (int i = 0; i < 8; ++i) to[i] = from[i];
}
// A bit per sample, a byte per row of a block.
template <class V>
INLINE void load_bits(const uint8_t* from, Mask<typename V::Number, V::lanes> (&mask)[8]) {
    for (int i = 0; i < 8; ++i) {
        int bits = from[i];
        if (V::lanes > 8) bits |= from[8 + i] << 8;
        mask[i] = Mask<typename V::Number, V::lanes>::of_bits(bits);
    }
}
INLINE void store_bits(int bits, int lanes, uint8_t* to) {
    to[0] = uint8_t(bits);
    if (lanes > 8) to[8] = uint8_t(bits >> 8);
}

// --- both transforms ------------------------------------------------------------------------------------------------

// Samples -> transposed coefficients.
template <class V>
INLINE void forward_dct(V (&x)[8]) {
    dct(x);
    transpose(x);
    dct(x);
}

// Transposed coefficients -> samples.
template <class V>
INLINE void inverse_dct(V (&x)[8]) {
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
template <bool INVERSE, class V>
INLINE bool fits_integers(const V (&x)[8]) {
    typedef typename V::Number T;
    V sum = T(0);
    for (int i = 0; i < 8; ++i) sum = sum + at_least(x[i], V(T(0)) - x[i]);
    if (INVERSE) return sum_of(sum) < 34000;
    return (sum < V(T(1e6))).bits() == (1 << V::lanes) - 1;
}

template <bool INVERSE, class V>
INLINE void otherwise(V (&x)[8]) {
    typename V::Number blocks[8 * V::lanes];
    store_blocks(x, blocks);
    for (int i = 0; i < 8 * V::lanes; i += 64) islow_by_products<typename V::Number, INVERSE>(blocks + i);
    load_blocks(blocks, x);
}

template <int L, bool NATIVE>
INLINE void islow_forward(Vec<float, L, NATIVE> (&x)[8]) {
    if (__builtin_expect(!fits_integers<false>(x), 0)) return otherwise<false>(x);
    transpose(x);
    Vec<int32_t, L> y[8];
    for (int i = 0; i < 8; ++i) y[i] = to_ints(x[i]);
    islow_dct(y, 11);
    transpose(y);
    islow_dct(y, 15);
    for (int i = 0; i < 8; ++i) x[i] = to_floats(y[i]) * 0.125f;  // libjpeg's are eight times T.81's
}
template <int L, bool NATIVE>
INLINE void islow_inverse(Vec<float, L, NATIVE> (&x)[8]) {
    if (__builtin_expect(!fits_integers<true>(x), 0)) return otherwise<true>(x);
    Vec<int32_t, L> y[8];
    for (int i = 0; i < 8; ++i) y[i] = to_ints(x[i]);
    islow_idct(y, 11);
    transpose(y);
    islow_idct(y, 18);
    transpose(y);
    for (int i = 0; i < 8; ++i) x[i] = to_floats(y[i]);
}

// Doubles hold all of its products.
INLINE void islow_forward(Vec<double> (&x)[8]) {
    if (__builtin_expect(!fits_integers<false>(x), 0)) return otherwise<false>(x);
    transpose(x);
    islow_dct(x, 11);
    transpose(x);
    islow_dct(x, 15);
    for (int i = 0; i < 8; ++i) x[i] = x[i] * 0.125;
}
INLINE void islow_inverse(Vec<double> (&x)[8]) {
    if (__builtin_expect(!fits_integers<true>(x), 0)) return otherwise<true>(x);
    islow_idct(x, 11);
    transpose(x);
    islow_idct(x, 18);
    transpose(x);
}

}  // namespace
