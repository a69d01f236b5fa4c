// Eight numbers as one, or sixteen where they fit: a vector of the processor, or two halves until it is one.

#pragma once

#include "native.hpp"

namespace {

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

}  // namespace
