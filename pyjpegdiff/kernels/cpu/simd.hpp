// Eight numbers as one: a vector of the processor, or two halves of eight until it is one.

#pragma once

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define METHOD inline __attribute__((always_inline))

namespace {

#if defined(__AVX512F__)
constexpr int FLOAT_BYTES = 32, DOUBLE_BYTES = 64;
#elif defined(__AVX2__)
constexpr int FLOAT_BYTES = 32, DOUBLE_BYTES = 32;
#else
constexpr int FLOAT_BYTES = 16, DOUBLE_BYTES = 16;
#endif

template <class T>
struct Native;
template <>
struct Native<float> {
    typedef float type __attribute__((vector_size(FLOAT_BYTES)));
    typedef float unaligned __attribute__((vector_size(FLOAT_BYTES), aligned(4)));
    typedef int32_t mask __attribute__((vector_size(FLOAT_BYTES)));
    static constexpr int lanes = FLOAT_BYTES / 4;
};
template <>
struct Native<double> {
    typedef double type __attribute__((vector_size(DOUBLE_BYTES)));
    typedef double unaligned __attribute__((vector_size(DOUBLE_BYTES), aligned(8)));
    typedef int64_t mask __attribute__((vector_size(DOUBLE_BYTES)));
    static constexpr int lanes = DOUBLE_BYTES / 8;
};
template <>
struct Native<int32_t> {
    typedef int32_t type __attribute__((vector_size(FLOAT_BYTES)));
    typedef int32_t mask __attribute__((vector_size(FLOAT_BYTES)));
    // Intermediate sums may wrap around, as long as results fit.
    typedef uint32_t wrapping __attribute__((vector_size(FLOAT_BYTES)));
    static constexpr int lanes = FLOAT_BYTES / 4;
};

// --- what is not an operator, of one vector of the processor --------------------------------------------------------

typedef Native<float>::type NativeFloat;
typedef Native<double>::type NativeDouble;
typedef Native<float>::mask FloatMask;
typedef Native<double>::mask DoubleMask;

#if defined(__AVX512F__) || defined(__AVX2__)
INLINE NativeFloat native_floor(NativeFloat x) { return _mm256_floor_ps(x); }
INLINE NativeFloat native_rint(NativeFloat x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// The second one where either is not a number.
INLINE NativeFloat native_max(NativeFloat a, NativeFloat b) { return _mm256_max_ps(a, b); }
INLINE NativeFloat native_min(NativeFloat a, NativeFloat b) { return _mm256_min_ps(a, b); }
INLINE int native_bits(FloatMask mask) { return _mm256_movemask_ps((__m256)mask); }
#if defined(__AVX512F__)
INLINE NativeDouble native_floor(NativeDouble x) {
    return _mm512_maskz_roundscale_pd(0xff, x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
INLINE NativeDouble native_rint(NativeDouble x) {
    return _mm512_maskz_roundscale_pd(0xff, x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
INLINE NativeDouble native_max(NativeDouble a, NativeDouble b) { return _mm512_max_pd(a, b); }
INLINE NativeDouble native_min(NativeDouble a, NativeDouble b) { return _mm512_min_pd(a, b); }
INLINE int native_bits(DoubleMask mask) { return _mm512_movepi64_mask((__m512i)mask); }
#else
INLINE NativeDouble native_floor(NativeDouble x) { return _mm256_floor_pd(x); }
INLINE NativeDouble native_rint(NativeDouble x) {
    return _mm256_round_pd(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
INLINE NativeDouble native_max(NativeDouble a, NativeDouble b) { return _mm256_max_pd(a, b); }
INLINE NativeDouble native_min(NativeDouble a, NativeDouble b) { return _mm256_min_pd(a, b); }
INLINE int native_bits(DoubleMask mask) { return _mm256_movemask_pd((__m256d)mask); }
#endif
#elif defined(__aarch64__)
INLINE NativeFloat native_floor(NativeFloat x) { return (NativeFloat)vrndmq_f32((float32x4_t)x); }
INLINE NativeFloat native_rint(NativeFloat x) { return (NativeFloat)vrndnq_f32((float32x4_t)x); }
INLINE NativeDouble native_floor(NativeDouble x) { return (NativeDouble)vrndmq_f64((float64x2_t)x); }
INLINE NativeDouble native_rint(NativeDouble x) { return (NativeDouble)vrndnq_f64((float64x2_t)x); }
#else
// Neighbors of 2^23 (2^52) are one apart, so adding and taking away 3/2 of it rounds; what is larger is whole.
template <class N, class T>
INLINE N rint_by_sums(N x, T large) {
    const N magnitude = x < 0 ? -x : x;
    const N rounded = (x + large * T(1.5)) - large * T(1.5);
    return magnitude < large / 2 ? rounded : x;
}
INLINE NativeFloat native_rint(NativeFloat x) { return rint_by_sums(x, 8388608.0f); }
INLINE NativeDouble native_rint(NativeDouble x) { return rint_by_sums(x, 4503599627370496.0); }
template <class N>
INLINE N native_floor(N x) {
    const N nearest = native_rint(x);
    return nearest > x ? nearest - 1 : nearest;
}
#endif
#if !defined(__AVX2__)
#if defined(__SSE2__)
INLINE NativeFloat native_max(NativeFloat a, NativeFloat b) { return _mm_max_ps(a, b); }
INLINE NativeFloat native_min(NativeFloat a, NativeFloat b) { return _mm_min_ps(a, b); }
INLINE NativeDouble native_max(NativeDouble a, NativeDouble b) { return _mm_max_pd(a, b); }
INLINE NativeDouble native_min(NativeDouble a, NativeDouble b) { return _mm_min_pd(a, b); }
INLINE int native_bits(FloatMask mask) { return _mm_movemask_ps((__m128)mask); }
INLINE int native_bits(DoubleMask mask) { return _mm_movemask_pd((__m128d)mask); }
#else
template <class N>
INLINE N native_max(N a, N b) {
    return a > b ? a : b;
}
template <class N>
INLINE N native_min(N a, N b) {
    return a < b ? a : b;
}
INLINE int native_bits(FloatMask mask) { return (mask[0] & 1) | (mask[1] & 2) | (mask[2] & 4) | (mask[3] & 8); }
INLINE int native_bits(DoubleMask mask) { return int((mask[0] & 1) | (mask[1] & 2)); }
#endif
#endif

// --- eight of them --------------------------------------------------------------------------------------------------

// Lanes that are true, each as an integer of all ones.
template <class T, int L, bool NATIVE = L == Native<T>::lanes>
struct Mask {
    Mask<T, L / 2> low, high;

    static METHOD Mask of_bits(int bits) {
        return Mask{Mask<T, L / 2>::of_bits(bits), Mask<T, L / 2>::of_bits(bits >> L / 2)};
    }
    METHOD int bits() const { return low.bits() | high.bits() << L / 2; }
    friend METHOD Mask operator&(Mask a, Mask b) { return Mask{a.low & b.low, a.high & b.high}; }
};

template <class T, int L>
struct Mask<T, L, true> {
    typename Native<T>::mask n;

    static METHOD Mask of_bits(int bits) {
        typename Native<T>::mask weights;
        for (int i = 0; i < L; ++i) weights[i] = 1 << i;
        return Mask{((weights - weights + bits) & weights) != 0};
    }
    METHOD int bits() const { return native_bits(n); }
    friend METHOD Mask operator&(Mask a, Mask b) { return Mask{a.n & b.n}; }
};

template <class T, int L = 8, bool NATIVE = L == Native<T>::lanes>
struct Vec {
    typedef T Number;
    typedef Vec<T, L / 2> Half;
    Half low, high;

    Vec() = default;
    METHOD Vec(T x) : low(x), high(x) {}
    METHOD Vec(Half a, Half b) : low(a), high(b) {}
    static METHOD Vec load(const T* from) { return Vec(Half::load(from), Half::load(from + L / 2)); }
    METHOD void store(T* to) const {
        low.store(to);
        high.store(to + L / 2);
    }
#define OPERATOR(op) \
    friend METHOD Vec operator op(Vec a, Vec b) { return Vec(a.low op b.low, a.high op b.high); }
    OPERATOR(+)
    OPERATOR(-)
    OPERATOR(*)
    OPERATOR(/)
#undef OPERATOR
#define COMPARISON(op) \
    friend METHOD Mask<T, L> operator op(Vec a, Vec b) { return Mask<T, L>{a.low op b.low, a.high op b.high}; }
    COMPARISON(<)
    COMPARISON(<=)
    COMPARISON(>=)
#undef COMPARISON
    friend METHOD Vec select(Mask<T, L> mask, Vec a, Vec b) {
        return Vec(select(mask.low, a.low, b.low), select(mask.high, a.high, b.high));
    }
    friend METHOD Vec floor(Vec x) { return Vec(floor(x.low), floor(x.high)); }
    friend METHOD Vec rint(Vec x) { return Vec(rint(x.low), rint(x.high)); }
    friend METHOD Vec at_least(Vec bound, Vec x) { return Vec(at_least(bound.low, x.low), at_least(bound.high, x.high)); }
    friend METHOD Vec at_most(Vec bound, Vec x) { return Vec(at_most(bound.low, x.low), at_most(bound.high, x.high)); }
};

template <class T, int L>
struct Vec<T, L, true> {
    typedef T Number;
    typedef typename Native<T>::type N;
    N n;

    Vec() = default;
    METHOD Vec(T x) : n(x - N{}) {}
    METHOD Vec(N x) : n(x) {}
    typedef typename Native<T>::unaligned Unaligned;
    static METHOD Vec load(const T* from) { return Vec(N(*reinterpret_cast<const Unaligned*>(from))); }
    METHOD void store(T* to) const { *reinterpret_cast<Unaligned*>(to) = n; }
#define OPERATOR(op) \
    friend METHOD Vec operator op(Vec a, Vec b) { return Vec(a.n op b.n); }
    OPERATOR(+)
    OPERATOR(-)
    OPERATOR(*)
    OPERATOR(/)
#undef OPERATOR
#define COMPARISON(op) \
    friend METHOD Mask<T, L> operator op(Vec a, Vec b) { return Mask<T, L>{a.n op b.n}; }
    COMPARISON(<)
    COMPARISON(<=)
    COMPARISON(>=)
#undef COMPARISON
    friend METHOD Vec select(Mask<T, L> mask, Vec a, Vec b) { return Vec(mask.n ? a.n : b.n); }
    friend METHOD Vec floor(Vec x) { return Vec(native_floor(x.n)); }
    friend METHOD Vec rint(Vec x) { return Vec(native_rint(x.n)); }
    friend METHOD Vec at_least(Vec bound, Vec x) { return Vec(native_max(bound.n, x.n)); }
    friend METHOD Vec at_most(Vec bound, Vec x) { return Vec(native_min(bound.n, x.n)); }
};

// Integers wrap around.
template <int L>
struct Vec<int32_t, L, true> {
    typedef int32_t Number;
    typedef typename Native<int32_t>::type N;
    typedef typename Native<int32_t>::wrapping U;
    N n;

    Vec() = default;
    METHOD Vec(int32_t x) : n(x - N{}) {}
    METHOD Vec(N x) : n(x) {}
#define OPERATOR(op) \
    friend METHOD Vec operator op(Vec a, Vec b) { return Vec((N)((U)a.n op(U) b.n)); }
    OPERATOR(+)
    OPERATOR(-)
    OPERATOR(*)
#undef OPERATOR
    METHOD Vec shifted(int shift) const { return Vec(n >> shift); }
};
template <int L>
struct Vec<int32_t, L, false> {
    typedef Vec<int32_t, L / 2> Half;
    Half low, high;

    Vec() = default;
    METHOD Vec(int32_t x) : low(x), high(x) {}
    METHOD Vec(Half a, Half b) : low(a), high(b) {}
#define OPERATOR(op) \
    friend METHOD Vec operator op(Vec a, Vec b) { return Vec(a.low op b.low, a.high op b.high); }
    OPERATOR(+)
    OPERATOR(-)
    OPERATOR(*)
#undef OPERATOR
    METHOD Vec shifted(int shift) const { return Vec(low.shifted(shift), high.shifted(shift)); }
};

typedef Vec<int32_t, 8> Ints;

// --- conversions: of whole numbers that fit ---------------------------------------------------------------------------

template <int L>
INLINE Vec<int32_t, L> to_ints(Vec<float, L, true> x) {
    return Vec<int32_t, L>(__builtin_convertvector(x.n, typename Native<int32_t>::type));
}
template <int L>
INLINE Vec<int32_t, L> to_ints(Vec<float, L, false> x) {
    return Vec<int32_t, L>(to_ints(x.low), to_ints(x.high));
}
template <int L>
INLINE Vec<float, L> to_floats(Vec<int32_t, L, true> x) {
    return Vec<float, L>(__builtin_convertvector(x.n, NativeFloat));
}
template <int L>
INLINE Vec<float, L> to_floats(Vec<int32_t, L, false> x) {
    return Vec<float, L>(to_floats(x.low), to_floats(x.high));
}

INLINE Ints descale(Ints x, int shift) { return (x + Ints(1 << (shift - 1))).shifted(shift); }
INLINE Vec<double> descale(Vec<double> x, int shift) { return floor(x * (1.0 / (1 << shift)) + Vec<double>(0.5)); }

// --- permutations -----------------------------------------------------------------------------------------------------

#define TAKE __builtin_shufflevector

// e0 o0 e1 o1 ..., and back, by the number of lanes.
template <int L>
struct Interleave;
template <>
struct Interleave<8> {
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
};
template <>
struct Interleave<4> {
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
};
template <>
struct Interleave<2> {
    template <class N>
    static METHOD void zip(N e, N o, N& a, N& b) {
        a = TAKE(e, o, 0, 2);
        b = TAKE(e, o, 1, 3);
    }
    template <class N>
    static METHOD void unzip(N a, N b, N& e, N& o) {
        zip(a, b, e, o);
    }
};

template <class T, int L>
INLINE void zip(Vec<T, L, true> e, Vec<T, L, true> o, Vec<T, L, true>& a, Vec<T, L, true>& b) {
    Interleave<L>::zip(e.n, o.n, a.n, b.n);
}
template <class T, int L>
INLINE void zip(Vec<T, L, false> e, Vec<T, L, false> o, Vec<T, L, false>& a, Vec<T, L, false>& b) {
    zip(e.low, o.low, a.low, a.high);
    zip(e.high, o.high, b.low, b.high);
}
template <class T, int L>
INLINE void unzip(Vec<T, L, true> a, Vec<T, L, true> b, Vec<T, L, true>& e, Vec<T, L, true>& o) {
    Interleave<L>::unzip(a.n, b.n, e.n, o.n);
}
template <class T, int L>
INLINE void unzip(Vec<T, L, false> a, Vec<T, L, false> b, Vec<T, L, false>& e, Vec<T, L, false>& o) {
    unzip(a.low, a.high, e.low, o.low);
    unzip(b.low, b.high, e.high, o.high);
}

// A square of one native vector a row.
#if defined(__AVX2__)
INLINE void transpose(Vec<float, 8, true> (&x)[8]) {
    NativeFloat r[8], s[8];
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
INLINE void transpose(Vec<int32_t, 8, true> (&x)[8]) {
    Vec<float, 8, true> y[8];
    for (int i = 0; i < 8; ++i) y[i].n = (NativeFloat)x[i].n;
    transpose(y);
    for (int i = 0; i < 8; ++i) x[i].n = (Native<int32_t>::type)y[i].n;
}
#else
INLINE void transpose(Vec<float, 4, true> (&x)[4]) {
    const NativeFloat a = TAKE(x[0].n, x[1].n, 0, 4, 1, 5), b = TAKE(x[0].n, x[1].n, 2, 6, 3, 7);
    const NativeFloat c = TAKE(x[2].n, x[3].n, 0, 4, 1, 5), d = TAKE(x[2].n, x[3].n, 2, 6, 3, 7);
    x[0].n = TAKE(a, c, 0, 1, 4, 5);
    x[1].n = TAKE(a, c, 2, 3, 6, 7);
    x[2].n = TAKE(b, d, 0, 1, 4, 5);
    x[3].n = TAKE(b, d, 2, 3, 6, 7);
}
INLINE void transpose(Vec<int32_t, 4, true> (&x)[4]) {
    Vec<float, 4, true> y[4];
    for (int i = 0; i < 4; ++i) y[i].n = (NativeFloat)x[i].n;
    transpose(y);
    for (int i = 0; i < 4; ++i) x[i].n = (Native<int32_t>::type)y[i].n;
}
#endif
#if defined(__AVX512F__)
INLINE void transpose(Vec<double, 8, true> (&x)[8]) {
    NativeDouble r[8], s[8];
    for (int i = 0; i < 8; i += 2) {
        r[i] = TAKE(x[i].n, x[i + 1].n, 0, 8, 2, 10, 4, 12, 6, 14);
        r[i + 1] = TAKE(x[i].n, x[i + 1].n, 1, 9, 3, 11, 5, 13, 7, 15);
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
    const NativeDouble a = TAKE(x[0].n, x[1].n, 0, 4, 2, 6), b = TAKE(x[0].n, x[1].n, 1, 5, 3, 7);
    const NativeDouble c = TAKE(x[2].n, x[3].n, 0, 4, 2, 6), d = TAKE(x[2].n, x[3].n, 1, 5, 3, 7);
    x[0].n = TAKE(a, c, 0, 1, 4, 5);
    x[1].n = TAKE(b, d, 0, 1, 4, 5);
    x[2].n = TAKE(a, c, 2, 3, 6, 7);
    x[3].n = TAKE(b, d, 2, 3, 6, 7);
}
#else
INLINE void transpose(Vec<double, 2, true> (&x)[2]) {
    const NativeDouble a = TAKE(x[0].n, x[1].n, 0, 2), b = TAKE(x[0].n, x[1].n, 1, 3);
    x[0].n = a;
    x[1].n = b;
}
#endif

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

// Sum of the lanes, in a fixed order.
template <class T>
INLINE T sum_of(Vec<T> x) {
    T lanes[8];
    x.store(lanes);
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

}  // namespace
