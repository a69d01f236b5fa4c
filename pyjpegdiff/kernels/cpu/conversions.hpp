// Pixels of any type and stride -> numbers, and back.

#pragma once

#include "call.hpp"
#include "permutations.hpp"

namespace {

// A bit for each of as many pixels as there are lanes. Only `left` of them exist: other bytes are not touched.
template <class T>
INLINE int load_pixel_bits(const uint8_t* from, int left) {
    return LANES<T> > 8 && left > 8 ? from[0] | from[1] << 8 : from[0];
}
template <class T>
INLINE void store_pixel_bits(int bits, uint8_t* to, int left) {
    to[0] = uint8_t(bits);
    if (LANES<T> > 8 && left > 8) to[1] = uint8_t(bits >> 8);
}
// The lanes that exist where `left` pixels are left.
template <class T>
INLINE Mask<T, LANES<T>> first_lanes(int left) {
    return Mask<T, LANES<T>>::of_bits((1 << (left < LANES<T> ? left : LANES<T>)) - 1);
}

// Numbers of an image that lies beyond the fast caches, and of one that lies beyond all of them.
constexpr int64_t FAR = int64_t(1) << 21, LARGE = int64_t(1) << 23;

constexpr int CHUNK = 256;  // pixels converted at a time: they stay in the fastest cache

INLINE float of_half(uint16_t half) {
    // Exponents of float are 112 larger; the product makes subnormal numbers right, too.
    const uint32_t magnitude = half & 0x7fff;
    float x;
    uint32_t bits = magnitude << 13;
    memcpy(&x, &bits, 4);
    x *= 5.192296858534828e33f;  // 2^112
    memcpy(&bits, &x, 4);
    bits |= magnitude >= 0x7c00 ? 0x7f800000u : 0u;
    bits |= uint32_t(half & 0x8000) << 16;
    memcpy(&x, &bits, 4);
    return x;
}

INLINE uint16_t to_half(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return uint16_t(sign | 0x7e00 | (magnitude >> 13 & 0x1ff));
    if (magnitude >= 0x477ff000) return uint16_t(sign | 0x7c00);  // beyond 65520: infinite
    if (magnitude < 0x38800000) {
        // Subnormal: whole multiples of 2^-24, which an addition rounds half to even.
        float y;
        memcpy(&y, &magnitude, 4);
        y += 0.5f;
        uint32_t rounded;
        memcpy(&rounded, &y, 4);
        return uint16_t(sign | (rounded - 0x3f000000));
    }
    return uint16_t(sign | ((magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13));
}

// `n` pixels of one type, `step` bytes apart.
template <class P, class T>
INLINE void read_strided(const char* from, int64_t step, int n, T scale, T* to) {
    for (int i = 0; i < n; ++i) {
        P x;
        memcpy(&x, from + i * step, sizeof x);
        to[i] = T(x) * scale;
    }
}
template <class T>
INLINE void read_strided_halves(const char* from, int64_t step, int n, T scale, T* to) {
    for (int i = 0; i < n; ++i) {
        uint16_t x;
        memcpy(&x, from + i * step, sizeof x);
        to[i] = T(of_half(x)) * scale;
    }
}

// With the usual strides known at compile time, loops become vector instructions.
template <class P, class T>
INLINE void read_as(const char* from, int64_t step, int n, T scale, T* to) {
    if (step == sizeof(P))
        read_strided<P>(from, sizeof(P), n, scale, to);
    else if (step == 3 * sizeof(P))
        read_strided<P>(from, 3 * sizeof(P), n, scale, to);
    else
        read_strided<P>(from, step, n, scale, to);
}

template <class T>
void read_pixels(const Pixels& pixels, const char* from, int n, T scale, T* to) {
    const int64_t step = pixels.column;
    switch (pixels.kind) {
        case U8: return read_as<uint8_t>(from, step, n, scale, to);
        case I8: return read_as<int8_t>(from, step, n, scale, to);
        case U16: return read_as<uint16_t>(from, step, n, scale, to);
        case I16: return read_as<int16_t>(from, step, n, scale, to);
        case U32: return read_strided<uint32_t>(from, step, n, scale, to);
        case I32: return read_strided<int32_t>(from, step, n, scale, to);
        case U64: return read_strided<uint64_t>(from, step, n, scale, to);
        case I64: return read_strided<int64_t>(from, step, n, scale, to);
        case F16: return read_strided_halves(from, step, n, scale, to);
        case F32: return read_as<float>(from, step, n, scale, to);
        default: return read_as<double>(from, step, n, scale, to);
    }
}

// Three interleaved channels of bytes at once: how many of the pixels it has read, the first ones.
#if defined(__AVX2__)
INLINE void store_numbers(__m256i whole, float scale, float* to) {
    (Vec<float, 8>(_mm256_cvtepi32_ps(whole)) * scale).store(to);
}
INLINE void store_numbers(__m256i whole, double scale, double* to) {
    _mm256_storeu_pd(to, _mm256_cvtepi32_pd(_mm256_castsi256_si128(whole)) * scale);
    _mm256_storeu_pd(to + 4, _mm256_cvtepi32_pd(_mm256_extracti128_si256(whole, 1)) * scale);
}
// Which of 16 bytes a channel takes, in each third of 48; -1 gives zero.
struct Places {
    alignas(16) int8_t of[3][3][16];

    constexpr Places() : of() {
        for (int c = 0; c < 3; ++c)
            for (int third = 0; third < 3; ++third)
                for (int i = 0; i < 16; ++i) {
                    const int place = 3 * i + c - 16 * third;
                    of[c][third][i] = int8_t(place >= 0 && place < 16 ? place : -1);
                }
    }
};
constexpr Places PLACES;

template <class T>
int read_interleaved_bytes(const char* from, int n, T scale, T (&to)[3][CHUNK]) {
    int done = 0;
    for (; done + 16 <= n; done += 16) {
        const __m128i* const at = reinterpret_cast<const __m128i*>(from + 3 * done);
        const __m128i bytes[3] = {_mm_loadu_si128(at), _mm_loadu_si128(at + 1), _mm_loadu_si128(at + 2)};
        for (int c = 0; c < 3; ++c) {
            __m128i own = _mm_setzero_si128();
            for (int third = 0; third < 3; ++third)
                own = _mm_or_si128(
                    own, _mm_shuffle_epi8(bytes[third], *reinterpret_cast<const __m128i*>(PLACES.of[c][third])));
            store_numbers(_mm256_cvtepu8_epi32(own), scale, to[c] + done);
            store_numbers(_mm256_cvtepu8_epi32(_mm_srli_si128(own, 8)), scale, to[c] + done + 8);
        }
    }
    return done;
}
#else
template <class T>
int read_interleaved_bytes(const char*, int, T, T (&)[3][CHUNK]) {
    return 0;
}
#endif

template <class P, class T>
INLINE void write_strided(const T* from, char* to, int64_t step, int n) {
    for (int i = 0; i < n; ++i) {
        const P x = P(from[i]);
        memcpy(to + i * step, &x, sizeof x);
    }
}

template <class T>
void write_pixels(const Pixels& pixels, const T* from, int n, char* to) {
    const int64_t step = pixels.column;
    if (pixels.kind == F16) {
        for (int i = 0; i < n; ++i) {
            const uint16_t x = to_half(float(from[i]));
            memcpy(to + i * step, &x, sizeof x);
        }
    } else if (step == int64_t(sizeof(T))) {
        memcpy(to, from, n * sizeof(T));
    } else if (step == 3 * int64_t(sizeof(T))) {
        write_strided<T>(from, to, 3 * sizeof(T), n);
    } else {
        write_strided<T>(from, to, step, n);
    }
}

// Three interleaved channels at once.
template <class T>
void write_interleaved(const T (&from)[3][CHUNK], int n, T* to) {
    for (int i = 0; i < n; ++i) {
        to[3 * i] = from[0][i];
        to[3 * i + 1] = from[1][i];
        to[3 * i + 2] = from[2][i];
    }
}
// Past the caches: a line is not read before it is overwritten.
template <class T>
void stream(const T* from, int count, T* to) {
    for (int i = 0; i < count; i += LANES<T>) Vec<T>::load(from + i).stream(to + i);
}

// What will be read soon: the processor itself does not look beyond a page.
INLINE void prefetch(const void* from, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(static_cast<const char*>(from) + i);
}

template <class T>
constexpr int64_t kind_of() {
    return sizeof(T) == 4 ? F32 : F64;
}

}  // namespace
