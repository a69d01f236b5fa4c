// One vector of the processor, and what of it is not an operator: per instruction set.

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

}  // namespace
