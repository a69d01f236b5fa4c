// Eight numbers as one, or sixteen where they fit: a vector of the processor, or two halves until it is one.

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

// Bytes of the processor's vectors: of the smallest and the largest to use.
#if defined(__AVX512F__)
constexpr int SMALLEST = 32, LARGEST = 64;
#elif defined(__AVX2__)
constexpr int SMALLEST = 32, LARGEST = 32;
#else
constexpr int SMALLEST = 16, LARGEST = 16;
#endif

template <class T, int L>
constexpr bool IS_NATIVE = SMALLEST <= L * int(sizeof(T)) && L * int(sizeof(T)) <= LARGEST;
// Numbers to work on at once: one row of a block, or of two blocks side by side.
template <class T>
constexpr int LANES = LARGEST / sizeof(T) > 8 ? 16 : 8;

template <int BYTES>
struct Integer;
template <>
struct Integer<4> {
    typedef int32_t type;
};
template <>
struct Integer<8> {
    typedef int64_t type;
};

template <class T, int L>
struct Native {
    typedef T type __attribute__((vector_size(L * sizeof(T))));
    typedef T unaligned __attribute__((vector_size(L * sizeof(T)), aligned(sizeof(T))));
    typedef typename Integer<sizeof(T)>::type mask __attribute__((vector_size(L * sizeof(T))));
};

// --- what is not an operator, of one vector of the processor --------------------------------------------------------

// The second operand of minimum and maximum where either is not a number.
#if defined(__AVX512F__)
#define FUNCTIONS(N, bits, suffix)                                                                      \
    INLINE N native_floor(N x) {                                                                        \
        return bits##_maskz_roundscale_##suffix(-1, x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);      \
    }                                                                                                   \
    INLINE N native_rint(N x) {                                                                         \
        return bits##_maskz_roundscale_##suffix(-1, x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);  \
    }                                                                                                   \
    INLINE N native_max(N a, N b) { return bits##_max_##suffix(a, b); }                                 \
    INLINE N native_min(N a, N b) { return bits##_min_##suffix(a, b); }                                 \
    INLINE int native_less(N a, N b) { return bits##_cmp_##suffix##_mask(a, b, _CMP_LT_OQ); }           \
    INLINE int native_at_most(N a, N b) { return bits##_cmp_##suffix##_mask(a, b, _CMP_LE_OQ); }        \
    INLINE N native_select(int mask, N a, N b) { return bits##_mask_blend_##suffix(mask, b, a); }
FUNCTIONS(__m512, _mm512, ps)
FUNCTIONS(__m512d, _mm512, pd)
FUNCTIONS(__m256, _mm256, ps)
#undef FUNCTIONS
#elif defined(__AVX2__)
#define FUNCTIONS(N, suffix)                                                                                        \
    INLINE N native_floor(N x) { return _mm256_floor_##suffix(x); }                                                 \
    INLINE N native_rint(N x) { return _mm256_round_##suffix(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }   \
    INLINE N native_max(N a, N b) { return _mm256_max_##suffix(a, b); }                                             \
    INLINE N native_min(N a, N b) { return _mm256_min_##suffix(a, b); }                                             \
    template <class M>                                                                                              \
    INLINE int native_bits(M mask, N) {                                                                             \
        return _mm256_movemask_##suffix((N)mask);                                                                   \
    }
FUNCTIONS(__m256, ps)
FUNCTIONS(__m256d, pd)
#undef FUNCTIONS
#else
typedef Native<float, 4>::type Floats;
typedef Native<double, 2>::type Doubles;

#if defined(__aarch64__)
INLINE Floats native_floor(Floats x) { return (Floats)vrndmq_f32((float32x4_t)x); }
INLINE Floats native_rint(Floats x) { return (Floats)vrndnq_f32((float32x4_t)x); }
INLINE Doubles native_floor(Doubles x) { return (Doubles)vrndmq_f64((float64x2_t)x); }
INLINE Doubles native_rint(Doubles x) { return (Doubles)vrndnq_f64((float64x2_t)x); }
#else
// Neighbors of 2^23 (2^52) are one apart, so adding and taking away 3/2 of it rounds; what is larger is whole.
template <class N, class T>
INLINE N rint_by_sums(N x, T large) {
    const N magnitude = x < 0 ? -x : x;
    const N rounded = (x + large * T(1.5)) - large * T(1.5);
    return magnitude < large / 2 ? rounded : x;
}
INLINE Floats native_rint(Floats x) { return rint_by_sums(x, 8388608.0f); }
INLINE Doubles native_rint(Doubles x) { return rint_by_sums(x, 4503599627370496.0); }
template <class N>
INLINE N native_floor(N x) {
    const N nearest = native_rint(x);
    return nearest > x ? nearest - 1 : nearest;
}
#endif
#if defined(__SSE2__)
INLINE Floats native_max(Floats a, Floats b) { return _mm_max_ps(a, b); }
INLINE Floats native_min(Floats a, Floats b) { return _mm_min_ps(a, b); }
INLINE Doubles native_max(Doubles a, Doubles b) { return _mm_max_pd(a, b); }
INLINE Doubles native_min(Doubles a, Doubles b) { return _mm_min_pd(a, b); }
template <class M>
INLINE int native_bits(M mask, Floats) {
    return _mm_movemask_ps((__m128)mask);
}
template <class M>
INLINE int native_bits(M mask, Doubles) {
    return _mm_movemask_pd((__m128d)mask);
}
#else
template <class N>
INLINE N native_max(N a, N b) {
    return a > b ? a : b;
}
template <class N>
INLINE N native_min(N a, N b) {
    return a < b ? a : b;
}
template <class M>
INLINE int native_bits(M mask, Floats) {
    return (mask[0] & 1) | (mask[1] & 2) | (mask[2] & 4) | (mask[3] & 8);
}
template <class M>
INLINE int native_bits(M mask, Doubles) {
    return int((mask[0] & 1) | (mask[1] & 2));
}
#endif
#endif

// Stores past the caches, to addresses that are multiples of a vector's size; `end_streams` makes others see them.
#if defined(__SSE2__)
constexpr bool STREAMS = true;
#if defined(__AVX512F__)
INLINE void native_stream(float* to, __m512 x) { _mm512_stream_ps(to, x); }
INLINE void native_stream(double* to, __m512d x) { _mm512_stream_pd(to, x); }
#endif
#if defined(__AVX2__)
INLINE void native_stream(float* to, __m256 x) { _mm256_stream_ps(to, x); }
INLINE void native_stream(double* to, __m256d x) { _mm256_stream_pd(to, x); }
#else
INLINE void native_stream(float* to, __m128 x) { _mm_stream_ps(to, x); }
INLINE void native_stream(double* to, __m128d x) { _mm_stream_pd(to, x); }
#endif
INLINE void end_streams() { _mm_sfence(); }
#else
constexpr bool STREAMS = false;
template <class T, class N>
INLINE void native_stream(T* to, N x) {
    memcpy(to, &x, sizeof x);
}
INLINE void end_streams() {}
#endif

// --- lanes that are true --------------------------------------------------------------------------------------------

template <class T, int L, bool NATIVE = IS_NATIVE<T, L>>
struct Mask {
    Mask<T, L / 2> low, high;

    static METHOD Mask of_bits(int bits) {
        return Mask{Mask<T, L / 2>::of_bits(bits), Mask<T, L / 2>::of_bits(bits >> L / 2)};
    }
    METHOD int bits() const { return low.bits() | high.bits() << L / 2; }
    friend METHOD Mask operator&(Mask a, Mask b) { return Mask{a.low & b.low, a.high & b.high}; }
};

#if defined(__AVX512F__)
constexpr bool MASKS_ARE_BITS = true;
// A bit each.
template <class T, int L>
struct Mask<T, L, true> {
    int n;

    static METHOD Mask of_bits(int bits) { return Mask{bits}; }
    METHOD int bits() const { return n; }
    friend METHOD Mask operator&(Mask a, Mask b) { return Mask{a.n & b.n}; }
};
#else
constexpr bool MASKS_ARE_BITS = false;
// Each an integer of all ones.
template <class T, int L>
struct Mask<T, L, true> {
    typename Native<T, L>::mask n;

    static METHOD Mask of_bits(int bits) {
        typename Native<T, L>::mask weights;
        for (int i = 0; i < L; ++i) weights[i] = 1 << i;
        return Mask{((weights - weights + bits) & weights) != 0};
    }
    METHOD int bits() const { return native_bits(n, typename Native<T, L>::type{}); }
    friend METHOD Mask operator&(Mask a, Mask b) { return Mask{a.n & b.n}; }
};
template <class N>
INLINE auto native_less(N a, N b) {
    return a < b;
}
template <class N>
INLINE auto native_at_most(N a, N b) {
    return a <= b;
}
template <class M, class N>
INLINE N native_select(M mask, N a, N b) {
    return mask ? a : b;
}
#endif

// --- numbers --------------------------------------------------------------------------------------------------------

template <class T, int L = LANES<T>, bool NATIVE = IS_NATIVE<T, L>>
struct Vec {
    typedef T Number;
    typedef Vec<T, L / 2> Half;
    static constexpr int lanes = L;
    Half low, high;

    Vec() = default;
    METHOD Vec(T x) : low(x), high(x) {}
    METHOD Vec(Half a, Half b) : low(a), high(b) {}
    static METHOD Vec load(const T* from) { return Vec(Half::load(from), Half::load(from + L / 2)); }
    METHOD void store(T* to) const {
        low.store(to);
        high.store(to + L / 2);
    }
    METHOD void stream(T* to) const {
        low.stream(to);
        high.stream(to + L / 2);
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
    typedef typename Native<T, L>::type N;
    typedef typename Native<T, L>::unaligned Unaligned;
    static constexpr int lanes = L;
    N n;

    Vec() = default;
    METHOD Vec(T x) : n(x - N{}) {}
    METHOD Vec(N x) : n(x) {}
    static METHOD Vec load(const T* from) { return Vec(N(*reinterpret_cast<const Unaligned*>(from))); }
    METHOD void store(T* to) const { *reinterpret_cast<Unaligned*>(to) = n; }
    METHOD void stream(T* to) const { native_stream(to, n); }
#define OPERATOR(op) \
    friend METHOD Vec operator op(Vec a, Vec b) { return Vec(a.n op b.n); }
    OPERATOR(+)
    OPERATOR(-)
    OPERATOR(*)
    OPERATOR(/)
#undef OPERATOR
    friend METHOD Mask<T, L> operator<(Vec a, Vec b) { return Mask<T, L>{native_less(a.n, b.n)}; }
    friend METHOD Mask<T, L> operator<=(Vec a, Vec b) { return Mask<T, L>{native_at_most(a.n, b.n)}; }
    friend METHOD Mask<T, L> operator>=(Vec a, Vec b) { return Mask<T, L>{native_at_most(b.n, a.n)}; }
    friend METHOD Vec select(Mask<T, L> mask, Vec a, Vec b) { return Vec(native_select(mask.n, a.n, b.n)); }
    friend METHOD Vec floor(Vec x) { return Vec(native_floor(x.n)); }
    friend METHOD Vec rint(Vec x) { return Vec(native_rint(x.n)); }
    friend METHOD Vec at_least(Vec bound, Vec x) { return Vec(native_max(bound.n, x.n)); }
    friend METHOD Vec at_most(Vec bound, Vec x) { return Vec(native_min(bound.n, x.n)); }
};

// Integers wrap around.
template <int L>
struct Vec<int32_t, L, true> {
    typedef int32_t Number;
    typedef typename Native<int32_t, L>::type N;
    // Intermediate sums may wrap around, as long as results fit.
    typedef uint32_t U __attribute__((vector_size(L * 4)));
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

// --- conversions: of whole numbers that fit ---------------------------------------------------------------------------

template <int L>
INLINE Vec<int32_t, L> to_ints(Vec<float, L, true> x) {
    return Vec<int32_t, L>(__builtin_convertvector(x.n, typename Native<int32_t, L>::type));
}
template <int L>
INLINE Vec<int32_t, L> to_ints(Vec<float, L, false> x) {
    return Vec<int32_t, L>(to_ints(x.low), to_ints(x.high));
}
template <int L>
INLINE Vec<float, L> to_floats(Vec<int32_t, L, true> x) {
    return Vec<float, L>(__builtin_convertvector(x.n, typename Native<float, L>::type));
}
template <int L>
INLINE Vec<float, L> to_floats(Vec<int32_t, L, false> x) {
    return Vec<float, L>(to_floats(x.low), to_floats(x.high));
}

template <int L, bool NATIVE>
INLINE Vec<int32_t, L, NATIVE> descale(Vec<int32_t, L, NATIVE> x, int shift) {
    return (x + Vec<int32_t, L>(1 << (shift - 1))).shifted(shift);
}
INLINE Vec<double> descale(Vec<double> x, int shift) { return floor(x * (1.0 / (1 << shift)) + Vec<double>(0.5)); }

// --- permutations -----------------------------------------------------------------------------------------------------

#define TAKE __builtin_shufflevector

// e0 o0 e1 o1 ..., and back, by the number of lanes.
template <int L>
struct Interleave;
template <>
struct Interleave<16> {
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
};
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

// Eight numbers from each of two places, `apart` numbers from each other, or from one where there are eight lanes.
template <class T, bool NATIVE>
INLINE void load_rows(const T* from, int, Vec<T, 8, NATIVE>& x) {
    x = Vec<T, 8>::load(from);
}
template <class T, bool NATIVE>
INLINE void store_rows(Vec<T, 8, NATIVE> x, T* to, int) {
    x.store(to);
}
template <class T, bool NATIVE>
INLINE void stream_rows(Vec<T, 8, NATIVE> x, T* to, int) {
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
INLINE void load_rows(const float* from, int apart, Vec<float, 16>& x) {
    x = beside(Vec<float, 8>::load(from), Vec<float, 8>::load(from + apart));
}
INLINE void store_rows(Vec<float, 16> x, float* to, int apart) {
    left(x).store(to);
    right(x).store(to + apart);
}
INLINE void stream_rows(Vec<float, 16> x, float* to, int apart) {
    left(x).stream(to);
    right(x).stream(to + apart);
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
