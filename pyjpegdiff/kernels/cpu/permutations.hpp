// Lanes moved within and between vectors: interleaving, transposed blocks, blocks side by side.

#pragma once

#include "simd.hpp"

namespace {

#define TAKE __builtin_shufflevector

// By the number of lanes: e0 o0 e1 o1 ..., and back; the last of a before those of b, the first of b behind those of a.
template <int L>
struct Permutations;
template <>
struct Permutations<16> {
    template <class N>
    static METHOD void zip(N e, N o, N& a, N& b) {
        a = TAKE(e, o, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        b = TAKE(e, o, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    template <class N>
    static METHOD void unzip(N a, N b, N& e, N& o) {
        e = TAKE(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        o = TAKE(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    }
    template <class N>
    static METHOD N up(N a, N b) {
        return TAKE(a, b, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30);
    }
    template <class N>
    static METHOD N down(N a, N b) {
        return TAKE(a, b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
    }
};
template <>
struct Permutations<8> {
    template <class N>
    static METHOD void zip(N e, N o, N& a, N& b) {
        a = TAKE(e, o, 0, 8, 1, 9, 2, 10, 3, 11);
        b = TAKE(e, o, 4, 12, 5, 13, 6, 14, 7, 15);
    }
    template <class N>
    static METHOD void unzip(N a, N b, N& e, N& o) {
        e = TAKE(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
        o = TAKE(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
    }
    template <class N>
    static METHOD N up(N a, N b) {
        return TAKE(a, b, 7, 8, 9, 10, 11, 12, 13, 14);
    }
    template <class N>
    static METHOD N down(N a, N b) {
        return TAKE(a, b, 1, 2, 3, 4, 5, 6, 7, 8);
    }
};
template <>
struct Permutations<4> {
    template <class N>
    static METHOD void zip(N e, N o, N& a, N& b) {
        a = TAKE(e, o, 0, 4, 1, 5);
        b = TAKE(e, o, 2, 6, 3, 7);
    }
    template <class N>
    static METHOD void unzip(N a, N b, N& e, N& o) {
        e = TAKE(a, b, 0, 2, 4, 6);
        o = TAKE(a, b, 1, 3, 5, 7);
    }
    template <class N>
    static METHOD N up(N a, N b) {
        return TAKE(a, b, 3, 4, 5, 6);
    }
    template <class N>
    static METHOD N down(N a, N b) {
        return TAKE(a, b, 1, 2, 3, 4);
    }
};
template <>
struct Permutations<2> {
    template <class N>
    static METHOD void zip(N e, N o, N& a, N& b) {
        a = TAKE(e, o, 0, 2);
        b = TAKE(e, o, 1, 3);
    }
    template <class N>
    static METHOD void unzip(N a, N b, N& e, N& o) {
        zip(a, b, e, o);
    }
    template <class N>
    static METHOD N up(N a, N b) {
        return TAKE(a, b, 1, 2);
    }
    template <class N>
    static METHOD N down(N a, N b) {
        return TAKE(a, b, 1, 2);
    }
};

template <class T, int L>
INLINE void zip(Vec<T, L, true> e, Vec<T, L, true> o, Vec<T, L, true>& a, Vec<T, L, true>& b) {
    Permutations<L>::zip(e.n, o.n, a.n, b.n);
}
template <class T, int L>
INLINE void zip(Vec<T, L, false> e, Vec<T, L, false> o, Vec<T, L, false>& a, Vec<T, L, false>& b) {
    zip(e.low, o.low, a.low, a.high);
    zip(e.high, o.high, b.low, b.high);
}
template <class T, int L>
INLINE void unzip(Vec<T, L, true> a, Vec<T, L, true> b, Vec<T, L, true>& e, Vec<T, L, true>& o) {
    Permutations<L>::unzip(a.n, b.n, e.n, o.n);
}
template <class T, int L>
INLINE void unzip(Vec<T, L, false> a, Vec<T, L, false> b, Vec<T, L, false>& e, Vec<T, L, false>& o) {
    unzip(a.low, a.high, e.low, o.low);
    unzip(b.low, b.high, e.high, o.high);
}

// Numbers one place before and one behind those of a vector in a row, from its neighbors.
template <class T, int L>
INLINE Vec<T, L, true> one_before(Vec<T, L, true> a, Vec<T, L, true> b) {
    return Permutations<L>::up(a.n, b.n);
}
template <class T, int L>
INLINE Vec<T, L, false> one_before(Vec<T, L, false> a, Vec<T, L, false> b) {
    return Vec<T, L, false>(one_before(a.high, b.low), one_before(b.low, b.high));
}
template <class T, int L>
INLINE Vec<T, L, true> one_behind(Vec<T, L, true> a, Vec<T, L, true> b) {
    return Permutations<L>::down(a.n, b.n);
}
template <class T, int L>
INLINE Vec<T, L, false> one_behind(Vec<T, L, false> a, Vec<T, L, false> b) {
    return Vec<T, L, false>(one_behind(a.low, a.high), one_behind(a.high, b.low));
}

// A square of one native vector a row; of twice as many lanes: two squares side by side.
#if defined(__AVX2__)
INLINE void transpose(Vec<float, 8, true> (&x)[8]) {
    Vec<float, 8, true>::N r[8], s[8];
    for (int i = 0; i < 8; i += 2) {
        r[i] = TAKE(x[i].n, x[i + 1].n, 0, 8, 1, 9, 4, 12, 5, 13);
        r[i + 1] = TAKE(x[i].n, x[i + 1].n, 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; ++j) {
            s[i + 2 * j] = TAKE(r[i + j], r[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            s[i + 2 * j + 1] = TAKE(r[i + j], r[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int i = 0; i < 4; ++i) {
        x[i].n = TAKE(s[i], s[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        x[i + 4].n = TAKE(s[i], s[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}
#else
INLINE void transpose(Vec<float, 4, true> (&x)[4]) {
    const Floats a = TAKE(x[0].n, x[1].n, 0, 4, 1, 5), b = TAKE(x[0].n, x[1].n, 2, 6, 3, 7);
    const Floats c = TAKE(x[2].n, x[3].n, 0, 4, 1, 5), d = TAKE(x[2].n, x[3].n, 2, 6, 3, 7);
    x[0].n = TAKE(a, c, 0, 1, 4, 5);
    x[1].n = TAKE(a, c, 2, 3, 6, 7);
    x[2].n = TAKE(b, d, 0, 1, 4, 5);
    x[3].n = TAKE(b, d, 2, 3, 6, 7);
}
#endif
#if defined(__AVX512F__)
INLINE void transpose(Vec<float, 16, true> (&x)[8]) {
    __m512 r[8], s[8];
    for (int i = 0; i < 8; i += 2) {
        r[i] = _mm512_unpacklo_ps(x[i].n, x[i + 1].n);
        r[i + 1] = _mm512_unpackhi_ps(x[i].n, x[i + 1].n);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; ++j) {
            s[i + 2 * j] = _mm512_shuffle_ps(r[i + j], r[i + j + 2], 0x44);
            s[i + 2 * j + 1] = _mm512_shuffle_ps(r[i + j], r[i + j + 2], 0xee);
        }
    for (int i = 0; i < 4; ++i) {
        x[i].n = TAKE(s[i], s[i + 4], 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
        x[i + 4].n = TAKE(s[i], s[i + 4], 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
    }
}
INLINE void transpose(Vec<double, 8, true> (&x)[8]) {
    __m512d r[8], s[8];
    for (int i = 0; i < 8; i += 2) {
        r[i] = _mm512_unpacklo_pd(x[i].n, x[i + 1].n);
        r[i + 1] = _mm512_unpackhi_pd(x[i].n, x[i + 1].n);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; ++j) {
            s[i + j] = TAKE(r[i + j], r[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            s[i + j + 2] = TAKE(r[i + j], r[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int i = 0; i < 4; ++i) {
        x[i].n = TAKE(s[i], s[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        x[i + 4].n = TAKE(s[i], s[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}
#elif defined(__AVX2__)
INLINE void transpose(Vec<double, 4, true> (&x)[4]) {
    const __m256d a = TAKE(x[0].n, x[1].n, 0, 4, 2, 6), b = TAKE(x[0].n, x[1].n, 1, 5, 3, 7);
    const __m256d c = TAKE(x[2].n, x[3].n, 0, 4, 2, 6), d = TAKE(x[2].n, x[3].n, 1, 5, 3, 7);
    x[0].n = TAKE(a, c, 0, 1, 4, 5);
    x[1].n = TAKE(b, d, 0, 1, 4, 5);
    x[2].n = TAKE(a, c, 2, 3, 6, 7);
    x[3].n = TAKE(b, d, 2, 3, 6, 7);
}
#else
INLINE void transpose(Vec<double, 2, true> (&x)[2]) {
    const Doubles a = TAKE(x[0].n, x[1].n, 0, 2), b = TAKE(x[0].n, x[1].n, 1, 3);
    x[0].n = a;
    x[1].n = b;
}
#endif

// Integers move as floats do.
template <int L, int ROWS>
INLINE void transpose(Vec<int32_t, L, true> (&x)[ROWS]) {
    Vec<float, L, true> y[ROWS];
    for (int i = 0; i < ROWS; ++i) y[i].n = (typename Native<float, L>::type)x[i].n;
    transpose(y);
    for (int i = 0; i < ROWS; ++i) x[i].n = (typename Native<int32_t, L>::type)y[i].n;
}

// A square of four squares: each transposed, and two of them exchanged.
template <class T, int L>
INLINE void transpose(Vec<T, L, false> (&x)[L]) {
    Vec<T, L / 2> a[L / 2], b[L / 2], c[L / 2], d[L / 2];
    for (int i = 0; i < L / 2; ++i) {
        a[i] = x[i].low;
        b[i] = x[i].high;
        c[i] = x[i + L / 2].low;
        d[i] = x[i + L / 2].high;
    }
    transpose(a);
    transpose(b);
    transpose(c);
    transpose(d);
    for (int i = 0; i < L / 2; ++i) {
        x[i] = Vec<T, L>(a[i], c[i]);
        x[i + L / 2] = Vec<T, L>(b[i], d[i]);
    }
}

// --- two blocks side by side ------------------------------------------------------------------------------------------

// Eight numbers of a block, and of the next one, 64 numbers on, where there are sixteen lanes.
template <class T, bool NATIVE>
INLINE void load_rows(const T* from, Vec<T, 8, NATIVE>& x) {
    x = Vec<T, 8>::load(from);
}
template <class T, bool NATIVE>
INLINE void store_rows(Vec<T, 8, NATIVE> x, T* to) {
    x.store(to);
}
template <class T, bool NATIVE>
INLINE void stream_rows(Vec<T, 8, NATIVE> x, T* to) {
    x.stream(to);
}
// The same eight lanes for every block; and back: the sum over blocks.
template <class T, bool NATIVE>
INLINE void repeat(Vec<T, 8> once, Vec<T, 8, NATIVE>& x) {
    x = once;
}
template <class T, bool NATIVE>
INLINE Vec<T, 8> sum_of_blocks(Vec<T, 8, NATIVE> x) {
    return x;
}
#if defined(__AVX512F__)
INLINE Vec<float, 16> beside(Vec<float, 8> a, Vec<float, 8> b) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(a.n), b.n, 1);
}
INLINE Vec<float, 8> left(Vec<float, 16> x) { return _mm512_castps512_ps256(x.n); }
INLINE Vec<float, 8> right(Vec<float, 16> x) { return _mm512_extractf32x8_ps(x.n, 1); }
INLINE void load_rows(const float* from, Vec<float, 16>& x) {
    x = beside(Vec<float, 8>::load(from), Vec<float, 8>::load(from + 64));
}
INLINE void store_rows(Vec<float, 16> x, float* to) {
    left(x).store(to);
    right(x).store(to + 64);
}
INLINE void stream_rows(Vec<float, 16> x, float* to) {
    left(x).stream(to);
    right(x).stream(to + 64);
}
INLINE void repeat(Vec<float, 8> once, Vec<float, 16>& x) { x = _mm512_broadcast_f32x8(once.n); }
INLINE Vec<float, 8> sum_of_blocks(Vec<float, 16> x) { return left(x) + right(x); }
#endif

// Sum of the lanes, in a fixed order.
template <class T, int L, bool NATIVE>
INLINE T sum_of(Vec<T, L, NATIVE> x) {
    T lanes[L];
    x.store(lanes);
    for (int count = L / 2; count > 0; count /= 2)
        for (int i = 0; i < count; ++i) lanes[i] = lanes[2 * i] + lanes[2 * i + 1];
    return lanes[0];
}

}  // namespace
