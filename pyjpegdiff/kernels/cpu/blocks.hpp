// What happens to one block between its samples and its coefficients, or to two side by side: see transforms.hpp.

#pragma once

#include "../formulas/surrogates.hpp"
#include "call.hpp"
#include "operands.hpp"
#include "transforms.hpp"

namespace {

constexpr double DARKEST = -128, BRIGHTEST = 127;
// Half up. Blocks of DC alone are whole eighths and often ties, which the last bit of a real DCT must not decide.
constexpr double SAMPLE_BIAS = 0.5 + 1.0 / (1 << 12);

// --- rounding -------------------------------------------------------------------------------------------------------

#define EACH(expression) \
    for (int i = 0; i < 8; ++i) x[i] = expression

// Of row i of a block, as coefficients lie in registers.
template <class V, class T>
INLINE V softness(const T* transposed_reciprocals, int i) {
    V row;
    repeat(Vec<T, 8>::load(transposed_reciprocals + 8 * i), row);
    return row * T(SOFTNESS);
}

template <class V, class T>
INLINE void rounding_value(int64_t rounding, const T* transposed_reciprocals, V (&x)[8]) {
    switch (rounding) {
        case CUBIC: EACH(cubic_round(x[i])); break;
        case SINE: EACH(sine_round(x[i])); break;
        case FOURIER: EACH(fourier_round(x[i])); break;
        case TANH: EACH(tanh_round(x[i])); break;
        case RATIONAL: EACH(rational_round(x[i], softness<V>(transposed_reciprocals, i))); break;
        default: break;
    }
}

template <class V, class T>
INLINE void rounding_derivative(int64_t rounding, const T* transposed_reciprocals, V (&x)[8]) {
    switch (rounding) {
        case CUBIC: EACH(cubic_round_derivative(x[i])); break;
        case SINE: EACH(sine_round_derivative(x[i])); break;
        case FOURIER: EACH(fourier_round_derivative(x[i])); break;
        case TANH: EACH(tanh_round_derivative(x[i])); break;
        case RATIONAL: EACH(rational_round_derivative(x[i], softness<V>(transposed_reciprocals, i))); break;
        default: EACH(V(typename V::Number(1))); break;
    }
}

template <class V, class T>
INLINE void quantize(int64_t arithmetic, int64_t rounding, const T* transposed_reciprocals, V (&x)[8]) {
    if (arithmetic == SMOOTH)
        rounding_value(rounding, transposed_reciprocals, x);
    else
        EACH(round_half_away(x[i]));
}
#undef EACH

// --- a block forward ------------------------------------------------------------------------------------------------

// Where a block's samples and coefficients are. Null: not there, or not kept.
template <class T>
struct BlockAt {
    T* plane;  // samples, in place
    int64_t pitch;
    T *u, *k;
    uint8_t* in_range;
    bool streams_u, streams_k;  // whether they are written past the caches
};

template <class V, class T>
INLINE void write_blocks(const V (&x)[8], T* to, bool streams) {
    if (streams)
        stream_blocks(x, to);
    else
        store_blocks(x, to);
}

// Samples -> coefficients -> samples, or what of it is asked for.
template <class V, int ARITHMETIC, class T>
INLINE void block_forward(
    const BlockAt<T>& at, const Operands<T>& operands, int group, int64_t source, int64_t sink, int64_t rounding) {
    constexpr bool LIB = ARITHMETIC == LIBJPEG;
    const T* const reciprocals = operands.transposed_reciprocals[group];
    V x[8];
    if (source == FROM_IMAGE) {
        load(at.plane, at.pitch, x);
        if constexpr (LIB)
            islow_forward(x);
        else
            forward_dct(x);
        multiply(x, LIB ? operands.reciprocals[group] : reciprocals);
        if (at.u) {
            V u[8];
            copy(x, u);
            if (LIB) transpose(u);
            write_blocks(u, at.u, at.streams_u);
        }
        quantize(ARITHMETIC, rounding, reciprocals, x);
    } else if (source == FROM_U) {
        load_blocks(at.u, x);
        if (LIB) transpose(x);
        quantize(ARITHMETIC, rounding, reciprocals, x);
    } else {
        load_blocks(at.k, x);
        if (!LIB) transpose(x);
    }
    if (sink == TO_BLOCKS) {
        if (!LIB) transpose(x);
        return write_blocks(x, at.k, at.streams_k);
    }
    multiply(x, (LIB ? operands.steps : operands.transposed)[group]);
    if constexpr (LIB)
        islow_inverse(x);
    else
        inverse_dct(x);
    if (ARITHMETIC != SMOOTH) {
        if (!LIB)
            for (int i = 0; i < 8; ++i) x[i] = floor(x[i] + V(T(SAMPLE_BIAS)));
        if (at.in_range)
            for (int i = 0; i < 8; ++i)
                store_bits(is_inside(x[i], T(DARKEST), T(BRIGHTEST)).bits(), V::lanes, at.in_range + i);
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
    StepSums<T>* sums;  // added to; null: not needed
};

template <class V, class T>
INLINE void add_to_sums(const V (&x)[8], T* sums) {
    for (int i = 0; i < 8; ++i) (Vec<T, 8>::load(sums + 8 * i) + sum_of_blocks(x[i])).store(sums + 8 * i);
}

// Of cotangents of coefficients, and the coefficients in units of their step.
template <class V, class T>
INLINE void add_elastic_sums(
    const V (&g)[8], const V (&u)[8], int64_t sink, StepSums<T>& sums) {
    V k[8], error[8], share[8];
    for (int i = 0; i < 8; ++i) k[i] = round_half_away(u[i]);
    if (sink != TO_IMAGE) {
        for (int i = 0; i < 8; ++i) share[i] = V(T(0)) - g[i] * k[i];
        add_to_sums(share, sums.shares);
    }
    for (int i = 0; i < 8; ++i) error[i] = k[i] - u[i];
    for (int i = 0; i < 8; ++i) share[i] = g[i] * error[i];
    add_to_sums(share, sums.elastic[0]);
    for (int i = 0; i < 8; ++i) share[i] = change_of_square(u[i]);
    add_to_sums(share, sums.elastic[1]);
    for (int i = 0; i < 8; ++i) share[i] = error[i] * error[i];
    add_to_sums(share, sums.elastic[2]);
}

// Cotangents of decoded samples -> those of the samples that were encoded, and of the steps.
//
// Through quantization and back a step cancels: g r'(u) goes on, and the step gets g k - g r'(u) u, or its elastic
// cotangent. Encode's own share has no g k.
template <class V, class T>
INLINE void block_vjp(
    const BlockVjpAt<T>& at, const Operands<T>& operands, int group, int64_t source, int64_t sink, int64_t arithmetic,
    int64_t rounding, bool elastic, bool goes_on) {
    V x[8], factor[8], u[8], share[8];
    if (sink == TO_IMAGE) {
        load(at.plane, at.pitch, x);
        if (at.in_range) {
            Mask<T, V::lanes> mask[8];
            load_bits<V>(at.in_range, mask);
            for (int i = 0; i < 8; ++i) x[i] = clip_vjp(x[i], mask[i]);
        }
        forward_dct(x);
    } else if (at.g_k) {
        load_blocks(at.g_k, x);
        transpose(x);
        multiply(x, operands.transposed_reciprocals[group]);
    } else {
        for (auto& row : x) row = V(T(0));
    }
    if (source == FROM_BLOCKS) {
        if (at.sums) {
            load_blocks(at.k, u);
            transpose(u);
            for (int i = 0; i < 8; ++i) share[i] = x[i] * u[i];
            add_to_sums(share, at.sums->shares);
        }
        if (at.g_k) {
            multiply(x, operands.transposed[group]);
            transpose(x);
            store_blocks(x, at.g_k);
        }
        return;
    }
    load_blocks(at.u, u);
    if (elastic) {
        if (at.sums) add_elastic_sums(x, u, sink, *at.sums);
        if (!goes_on) return;
    }
    const T* const reciprocals = operands.transposed_reciprocals[group];
    copy(u, factor);
    rounding_derivative(rounding, reciprocals, factor);
    if (at.sums && !elastic) {
        V k[8];
        if (sink == TO_IMAGE) {
            copy(u, k);
            quantize(arithmetic, rounding, reciprocals, k);
        } else {
            for (auto& row : k) row = V(T(0));
        }
        for (int i = 0; i < 8; ++i) k[i] = k[i] - factor[i] * u[i];
        if (rounding == RATIONAL)
            for (int i = 0; i < 8; ++i) k[i] = k[i] - rational_round_elongation(u[i], softness<V>(reciprocals, i));
        for (int i = 0; i < 8; ++i) share[i] = x[i] * k[i];
        add_to_sums(share, at.sums->shares);
    }
    if (!goes_on) return;
    for (int i = 0; i < 8; ++i) x[i] = x[i] * factor[i];
    inverse_dct(x);
    store(x, at.plane, at.pitch);
}

// --- a row of blocks ------------------------------------------------------------------------------------------------

// `work<V>(column)` for every block, as many at once as there are lanes for.
template <class T, class Work>
INLINE void each_block(int64_t count, const Work& work) {
    int64_t column = 0;
    for (; 8 * column + LANES<T> <= 8 * count; column += LANES<T> / 8) work(Vec<T>(), column);
    for (; column < count; ++column) work(Vec<T, 8>(), column);
}

}  // namespace
