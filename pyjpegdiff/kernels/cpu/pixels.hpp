// Rows of the caller's pixels, of any type and stride, to numbers and back.

#pragma once

#include "conversions.hpp"
#include "shape.hpp"

namespace {

// A map of pixels (3, 3) with what is added after it, once for a row: loops then need not fetch it from operands, which
// a store might have changed for all the compiler knows.
template <class T>
struct Map {
    Vec<T> matrix[9], shift[3];

    METHOD Map(const T* from, const T* added) {
        for (int i = 0; i < 9; ++i) matrix[i] = from[i];
        for (int i = 0; i < 3; ++i) shift[i] = added ? added[i] : T(0);
    }
};

// Part of one row of an image, all channels: in the caller's memory where its numbers lie there as they are, else
// copied to a buffer, filled up to whole vectors.
template <class T>
struct RowReader {
    const Pixels& pixels;
    int channels;
    T scale;
    const bool is_far;
    alignas(64) T buffer[3][CHUNK];
    const T* at[3];

    RowReader(const Pixels& pixels, const Shape& shape, double scale)
        : pixels(pixels), channels(shape.channels()), scale(T(scale)), is_far(shape.numbers >= FAR) {}

    void read(int64_t sample, int64_t y, int64_t x, int n) {
        const char* from =
            static_cast<const char*>(pixels.data) + sample * pixels.sample + y * pixels.row + x * pixels.column;
        const bool in_place = pixels.kind == kind_of<T>() && pixels.column == int64_t(sizeof(T)) && n % LANES<T> == 0 &&
                              scale == 1 && (reinterpret_cast<uintptr_t>(from) | uintptr_t(pixels.channel)) % sizeof(T) == 0;
        const bool interleaved = pixels.kind == U8 && channels == 3 && pixels.channel == 1 && pixels.column == 3;
        const int done = interleaved ? read_interleaved_bytes(from, n, scale, buffer) : 0;
        for (int c = 0; c < channels; ++c) {
            if (is_far && (c == 0 || pixels.channel > pixels.column))
                prefetch(from + c * pixels.channel + CHUNK * pixels.column, n * pixels.column);
            if (in_place) {
                at[c] = reinterpret_cast<const T*>(from + c * pixels.channel);
                continue;
            }
            read_pixels(pixels, from + c * pixels.channel + done * pixels.column, n - done, scale, buffer[c] + done);
            for (int i = n; i % LANES<T>; ++i) buffer[c][i] = buffer[c][n - 1];
            at[c] = buffer[c];
        }
    }
};

// The same for writing: fill what `at` points to, then `write`.
template <class T>
struct RowWriter {
    const Pixels& pixels;
    int channels;
    alignas(64) T buffer[3][CHUNK];
    T* at[3];
    char* to;
    bool in_place, streams;
    const bool is_large;

    RowWriter(const Pixels& pixels, const Shape& shape)
        : pixels(pixels), channels(shape.channels()), is_large(STREAMS && shape.numbers >= LARGE) {}
    ~RowWriter() {
        if (is_large) end_streams();
    }

    void open(int64_t sample, int64_t y, int64_t x, int n) {
        to = static_cast<char*>(pixels.data) + sample * pixels.sample + y * pixels.row + x * pixels.column;
        in_place = pixels.kind == kind_of<T>() && pixels.column == int64_t(sizeof(T)) && n % LANES<T> == 0 &&
                   (reinterpret_cast<uintptr_t>(to) | uintptr_t(pixels.channel)) % sizeof(T) == 0;
        streams = is_large && in_place && (reinterpret_cast<uintptr_t>(to) | uintptr_t(pixels.channel)) % LARGEST == 0;
        in_place = in_place && !streams;
        for (int c = 0; c < channels; ++c)
            at[c] = in_place ? reinterpret_cast<T*>(to + c * pixels.channel) : buffer[c];
    }

    void write(int n) {
        if (in_place) return;
        if (streams) {
            for (int c = 0; c < channels; ++c) stream(buffer[c], n, reinterpret_cast<T*>(to + c * pixels.channel));
            return;
        }
        if (channels == 3 && pixels.kind == kind_of<T>() && pixels.channel == int64_t(sizeof(T)) &&
            pixels.column == 3 * int64_t(sizeof(T)) && reinterpret_cast<uintptr_t>(to) % sizeof(T) == 0) {
            T* const out = reinterpret_cast<T*>(to);
            if (!is_large || n % LANES<T> || reinterpret_cast<uintptr_t>(to) % LARGEST)
                return write_interleaved(buffer, n, out);
            alignas(64) T all[3 * CHUNK];
            write_interleaved(buffer, n, all);
            return stream(all, 3 * n, out);
        }
        for (int c = 0; c < channels; ++c) write_pixels(pixels, buffer[c], n, to + c * pixels.channel);
    }
};

}  // namespace
