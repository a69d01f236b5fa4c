// Image or coefficients -> coefficients or image, strip by strip.
//
// A strip's planes stay in the cache. Where upsampling doubles rows, a pixel row needs the chroma row above and below
// its own: the last rows of a strip are carried over to the next one, whose first chroma row they wait for. At either
// end of what a thread does, the chroma of one more strip is computed again.

#pragma once

#include "../formulas/color.hpp"
#include "../formulas/sampling.hpp"
#include "blocks.hpp"
#include "pixels.hpp"
#include "products.hpp"
#include "shape.hpp"

namespace {

template <class T, int ARITHMETIC>
struct Forward {
    static constexpr bool HARD = ARITHMETIC != SMOOTH, LIB = ARITHMETIC == LIBJPEG;
    typedef Vec<T> V;
    static constexpr int L = V::lanes;

    const Call& call;
    const Shape shape;
    Scratch<T> scratch;
    RowReader<T> image, cotangent;
    RowWriter<T> result;
    T matrix[9], shift[3], inverse[9], unshift[3];
    const Operands<T>* operands;
    Residuals<T> residuals;
    Products<T> products;
    V down_bias;  // of even and odd columns

    Forward(const Call& call, void* memory)
        : call(call), shape(call), scratch(shape, memory), image(call.image, shape, call.scale),
          cotangent(call.cotangent, shape, 1 / call.scale), result(call.result, shape), down_bias(T(0)) {
        const Biases biases = down_biases(int(shape.rows), int(shape.columns));
        V rest(T(0));
        if (HARD) zip(V(T(biases.even)), V(T(biases.odd)), down_bias, rest);
    }

    // `is_first`, `is_last`: the strip before or after is not done by the same object.
    void run(int64_t sample, int64_t strip, bool is_first, bool is_last) {
        if (is_first) {
            set_operands(sample);
            residuals = Residuals<T>(call, sample);
        }
        const bool emits = call.sink != TO_BLOCKS, halo = emits && shape.rows == 2;
        if (halo && is_first && strip > 0) {
            planes_of(sample, strip - 1, true);
            carry();
        }
        planes_of(sample, strip, false);
        if (!emits) return;
        const int64_t top = strip * 8 * shape.rows, next = top + 8 * shape.rows;
        const int64_t end = strip == shape.strips - 1 ? shape.height : halo ? next - 1 : next;
        for (int64_t y = halo && !is_first ? top - 1 : top; y < end; ++y) emit(sample, strip, y);
        if (!halo) return;
        carry();
        if (is_last && strip < shape.strips - 1) {
            planes_of(sample, strip + 1, true);
            emit(sample, strip + 1, next - 1);
        }
    }

    void set_operands(int64_t sample) {
        operands = operands_of<T>(call, sample);
        for (int i = 0; i < 9; ++i) {
            matrix[i] = LIB ? T(FIXED_MATRIX[i]) : operands->matrix[i];
            inverse[i] = LIB ? T(FIXED_INVERSE[i]) : operands->inverse[i];
        }
        const T biases[3] = {T(COLOR_BIAS_LUMA), T(COLOR_BIAS_CHROMA), T(COLOR_BIAS_CHROMA)};
        for (int i = 0; i < 3; ++i) {
            shift[i] = (LIB ? T(i ? 0 : -LEVEL) : operands->shift[i]) + (HARD ? biases[i] : T(0));
            unshift[i] = (LIB ? T(LEVEL) : operands->unshift[i]) + (HARD ? T(0.5) : T(0));
        }
    }

    // Row 0 is the last one of the strip before.
    T* luma_row(int64_t row) const { return scratch.luma + (row + 1) * shape.pitch; }
    T* chroma_row(int plane, int64_t row) const { return scratch.chroma[plane] + (row + 1) * shape.pitch; }

    void carry() {
        copy_row(luma_row(8 * shape.rows - 1), luma_row(-1));
        if (shape.groups == 2)
            for (int plane = 0; plane < 2; ++plane) copy_row(chroma_row(plane, 7), chroma_row(plane, -1));
    }
    void copy_row(const T* from, T* to) const {
        memcpy(to - Shape::MARGIN, from - Shape::MARGIN, shape.pitch * sizeof(T));
    }

    // --- decoded planes of a strip ----------------------------------------------------------------------------------

    // `halo`: only the chroma, of a strip that another call or thread does.
    void planes_of(int64_t sample, int64_t strip, bool halo) {
        if (call.source == FROM_IMAGE) read_strip(sample, strip);
        for (int group = halo ? 1 : 0; group < shape.groups; ++group) {
            const int64_t down = shape.blocks_down(strip, group);
            for (int plane = 0; plane < (group ? 2 : 1); ++plane)
                for (int64_t row = 0; row < down; ++row) {
                    const int64_t block_row = strip * (group ? 1 : shape.rows) + row;
                    T* const samples = group ? chroma_row(plane, 0) : luma_row(8 * row);
                    blocks_of(sample, group, plane, block_row, samples, halo);
                }
        }
        if (call.sink == TO_BLOCKS || shape.columns == 1) return;
        // What the triangle filter sees beyond the edges.
        const int64_t width = shape.extent_columns[1];
        for (int plane = 0; plane < 2 * shape.groups - 2; ++plane)
            for (int64_t row = 0; row < 8; ++row) {
                T* const samples = chroma_row(plane, row);
                samples[-1] = samples[0];
                samples[width] = samples[width - 1];
            }
    }

    void blocks_of(int64_t sample, int group, int plane, int64_t row, T* samples, bool halo) {
        const int64_t offset = shape.u_offset(group, plane, row), k_offset = shape.block_offset(sample, group, row);
        T* const u = residuals.u[group];
        uint8_t* const in_range = residuals.in_range[group];
        T* const k = static_cast<T*>(call.blocks[group + plane]);
        const bool reads_u = call.source == FROM_U, keeps = !halo && call.sink != TO_COLOR_SUMS;
        const auto streams = [&](const T* to) { return result.is_large && reinterpret_cast<uintptr_t>(to) % LARGEST == 0; };
        const bool reads_k = call.source == FROM_BLOCKS, streams_u = streams(u), streams_k = streams(k);
        each_block<T>(shape.wide[group], [&](auto lanes, int64_t column) __attribute__((always_inline)) {
            BlockAt<T> at = {samples + 8 * column, shape.pitch, nullptr, nullptr, nullptr, streams_u, streams_k};
            if (u && (reads_u || keeps)) at.u = u + offset + 64 * column;
            if (reads_u && image.is_far) prefetch(at.u + AHEAD, 8 * V::lanes * sizeof(T));
            if (k) at.k = k + k_offset + 64 * column;
            if (reads_k && image.is_far) prefetch(at.k + AHEAD, 8 * V::lanes * sizeof(T));
            if (keeps && in_range) at.in_range = in_range + offset / 8 + 8 * column;
            block_forward<decltype(lanes), ARITHMETIC>(at, *operands, group, call.source, call.sink, call.rounding);
        });
    }

    // --- pixels -> planes -------------------------------------------------------------------------------------------

    void read_strip(int64_t sample, int64_t strip) {
        const int64_t rows = shape.rows, top = strip * 8 * rows;
        const int64_t luma_rows = 8 * shape.blocks_down(strip, 0);
        for (int64_t row = 0; row < 8 * rows; ++row) {
            const bool exists = top + row < shape.height;
            if (exists)
                read_row(sample, top + row, row);
            else if (row < luma_rows)
                copy_row(luma_row(row - 1), luma_row(row));
            if (shape.groups == 2 && (row + 1) % rows == 0) means(top, row / rows, exists);
        }
    }

    // Where a row's chroma goes before means are taken.
    T* full_row(int plane, int64_t row) const {
        const bool direct = shape.rows == 1 && shape.columns == 1;
        return direct ? chroma_row(plane, row) : scratch.ring[plane] + row % shape.rows * shape.pitch;
    }

    void read_row(int64_t sample, int64_t y, int64_t row) {
        T* const planes[3] = {luma_row(row), full_row(0, row), full_row(1, row)};
        for (int64_t x = 0; x < shape.width; x += CHUNK) {
            const int n = int(shape.width - x < CHUNK ? shape.width - x : CHUNK);
            image.read(sample, y, x, n);
            to_planes(n, x, planes);
        }
        fill(planes[0], shape.width, 8 * shape.wide[0]);
        for (int plane = 1; plane < 2 * shape.groups - 1; ++plane)
            fill(planes[plane], shape.width, 8 * shape.wide[1] * shape.columns);
    }

    void to_planes(int n, int64_t x, T* const (&planes)[3]) const {
        const T *const red = image.at[0], *const green = image.at[1], *const blue = image.at[2];
        T *const luma = planes[0] + x, *const cb = planes[1] + x, *const cr = planes[2] + x;
        if (shape.groups == 1) {
            for (int i = 0; i < n; i += L)
                floored(stored(V::load(red + i)) - V(T(HARD ? LEVEL - COLOR_BIAS_LUMA : LEVEL))).store(luma + i);
            return;
        }
        const Map<T> map(matrix, shift);
        for (int i = 0; i < n; i += L) {
            const V r = stored(V::load(red + i)), g = stored(V::load(green + i)), b = stored(V::load(blue + i));
            floored(mix(map.matrix, 0, r, g, b) + map.shift[0]).store(luma + i);
            floored(mix(map.matrix, 1, r, g, b) + map.shift[1]).store(cb + i);
            floored(mix(map.matrix, 2, r, g, b) + map.shift[2]).store(cr + i);
        }
    }

    // What saving the image would store.
    static METHOD V stored(V pixel) { return LIB ? hard_clip(rint(pixel), T(0), T(255)) : pixel; }
    static METHOD V floored(V sample) { return HARD ? floor(sample) : sample; }

    void fill(T* row, int64_t from, int64_t to) const {
        for (int64_t x = from; x < to; ++x) row[x] = row[from - 1];
    }

    // The last row of pixels is repeated to complete its group, and then the last row of means.
    void means(int64_t top, int64_t row, bool exists) {
        if (shape.rows == 1 && shape.columns == 1) {
            if (!exists)
                for (int plane = 0; plane < 2; ++plane) copy_row(chroma_row(plane, row - 1), chroma_row(plane, row));
            return;
        }
        for (int plane = 0; plane < 2; ++plane) {
            T* const to = chroma_row(plane, row);
            if (top + row * shape.rows >= shape.height) {
                copy_row(chroma_row(plane, row - 1), to);
                continue;
            }
            const T* const a = scratch.ring[plane];
            const T* const b = exists && shape.rows == 2 ? a + shape.pitch : a;
            const V share = T(1.0 / (shape.rows * shape.columns));
            const bool two_rows = shape.rows == 2;
            for (int64_t x = 0; x < 8 * shape.wide[1]; x += L) {
                V sum;
                if (shape.columns == 2) {
                    V first = V::load(a + 2 * x), second = V::load(a + 2 * x + L), even, odd;
                    if (two_rows) {
                        first = first + V::load(b + 2 * x);
                        second = second + V::load(b + 2 * x + L);
                    }
                    unzip(first, second, even, odd);
                    sum = even + odd;
                } else {
                    sum = V::load(a + x) + V::load(b + x);
                }
                const V mean = sum * share;
                floored(HARD ? mean + down_bias : mean).store(to + x);
            }
        }
    }

    // --- planes -> pixels -------------------------------------------------------------------------------------------

    // Row `y` of the image, when `strip` is in scratch memory.
    void emit(int64_t sample, int64_t strip, int64_t y) {
        const T* rows[3] = {luma_row(y - strip * 8 * shape.rows), nullptr, nullptr};
        if (shape.groups == 2)
            for (int plane = 0; plane < 2; ++plane) rows[1 + plane] = upsampled(plane, strip, y);
        if (call.sink == TO_COLOR_SUMS)
            add_to_sums(sample, y, rows);
        else
            write_row(sample, y, rows);
    }

    // A row of full width; edges are repeated.
    const T* upsampled(int plane, int64_t strip, int64_t y) {
        const int64_t i = y / shape.rows, first = strip * 8, width = shape.extent_columns[1];
        const T* const near = chroma_row(plane, i - first);
        if (shape.rows == 1 && shape.columns == 1) return near;
        T* const to = scratch.spare[plane];
        if (!shape.triangle) {
            for (int64_t x = 0; x < shape.width; ++x) to[x] = near[x / 2];
            return to;
        }
        const Biases biases = up_biases(int(shape.rows), int(shape.columns));
        const bool is_odd = y % 2;
        int64_t other = is_odd ? i + 1 : i - 1;
        other = other < 0 ? 0 : other >= shape.extent_rows[1] ? shape.extent_rows[1] - 1 : other;
        const T* const far = shape.rows == 2 ? chroma_row(plane, other - first) : near;
        if (shape.columns == 1) {
            const V bias = T(is_odd ? biases.odd : biases.even);
            for (int64_t x = 0; x < width; x += L) {
                const V sample = triangle(V::load(near + x), V::load(far + x));
                floored(HARD ? sample + bias : sample).store(to + x);
            }
            return to;
        }
        const auto vertical = [&](int64_t x) __attribute__((always_inline)) {
            const V own = V::load(near + x);
            return shape.rows == 2 ? triangle(own, V::load(far + x)) : own;
        };
        const V even_bias = T(biases.even), odd_bias = T(biases.odd);
        V before = vertical(-L), own = vertical(0);
        for (int64_t x = 0; x < width; x += L) {
            const V behind = vertical(x + L);
            V even = triangle(own, one_before(before, own)), odd = triangle(own, one_behind(own, behind)), a, b;
            if (HARD) {
                even = floor(even + even_bias);
                odd = floor(odd + odd_bias);
            }
            zip(even, odd, a, b);
            a.store(to + 2 * x);
            b.store(to + 2 * x + L);
            before = own;
            own = behind;
        }
        return to;
    }

    void write_row(int64_t sample, int64_t y, const T* const (&rows)[3]) {
        uint8_t* const inside = residuals.inside ? residuals.inside + y * shape.inside_pitch() : nullptr;
        for (int64_t x = 0; x < shape.width; x += CHUNK) {
            const int n = int(shape.width - x < CHUNK ? shape.width - x : CHUNK);
            result.open(sample, y, x, n);
            to_pixels(n, x, rows, inside ? inside + x / 8 : nullptr);
            // Bits beyond the width tell nothing: they are zero, so that residuals are always the same.
            if (inside && n % 8)
                for (int c = 0; c < call.channels; ++c)
                    inside[c * shape.height * shape.inside_pitch() + (x + n) / 8] &= uint8_t((1 << n % 8) - 1);
            result.write(n);
        }
    }

    void to_pixels(int n, int64_t x, const T* const (&rows)[3], uint8_t* inside) const {
        const V scale = T(1 / call.scale);
        const T *const luma = rows[0] + x, *const cb = rows[1] + x, *const cr = rows[2] + x;
        T *const red = result.at[0], *const green = result.at[1], *const blue = result.at[2];
        if (shape.groups == 1) {
            for (int i = 0; i < n; i += L)
                to_pixel(V::load(luma + i) + V(T(LEVEL + (HARD ? 0.5 : 0))), scale, red + i, inside, i, n);
            return;
        }
        const int64_t pitch = shape.height * shape.inside_pitch();
        uint8_t* const inside_green = inside ? inside + pitch : nullptr;
        uint8_t* const inside_blue = inside ? inside + 2 * pitch : nullptr;
        const Map<T> map(inverse, unshift);
        for (int i = 0; i < n; i += L) {
            const V a = V::load(luma + i), b = V::load(cb + i), c = V::load(cr + i);
            to_pixel(mix(map.matrix, 0, a, b, c) + map.shift[0], scale, red + i, inside, i, n);
            to_pixel(mix(map.matrix, 1, a, b, c) + map.shift[1], scale, green + i, inside_green, i, n);
            to_pixel(mix(map.matrix, 2, a, b, c) + map.shift[2], scale, blue + i, inside_blue, i, n);
        }
    }

    static METHOD void to_pixel(V pixel, V scale, T* to, uint8_t* inside, int i, int n) {
        pixel = floored(pixel);
        if (inside) store_pixel_bits<T>(is_inside(pixel, T(0), T(255)).bits(), inside + i / 8, n - i);
        ((HARD ? hard_clip(pixel, T(0), T(255)) : soft_clip(pixel, T(0), T(255))) * scale).store(to);
    }

    // --- gradients of the color conversion back ---------------------------------------------------------------------

    void add_to_sums(int64_t sample, int64_t y, const T* const (&rows)[3]) {
        const int64_t pitch = shape.inside_pitch(), plane = shape.height * pitch;
        const uint8_t* const inside = residuals.inside + y * pitch;
        Products<T> own = products;
        for (int64_t x = 0; x < shape.width; x += CHUNK) {
            const int n = int(shape.width - x < CHUNK ? shape.width - x : CHUNK);
            cotangent.read(sample, y, x, n);
            for (int i = 0; i < n; i += L) {
                const uint8_t* const bits = inside + (x + i) / 8;
                const auto g = [&](int c) __attribute__((always_inline)) {
                    const int of_channel = load_pixel_bits<T>(bits + c * plane, n - i);
                    return clip_vjp(V::load(cotangent.at[c] + i), Mask<T, L>::of_bits(of_channel));
                };
                const int64_t at = x + i;
                own.add({g(0), g(1), g(2)}, {V::load(rows[0] + at), V::load(rows[1] + at), V::load(rows[2] + at)}, n - i);
            }
        }
        products = own;
        if ((y + 1) % (8 * shape.rows) && y + 1 < shape.height) return;
        Sums<T>& sums = static_cast<Sums<T>*>(call.sums)[sample * shape.strips + y / (8 * shape.rows)];
        products.store(sums.inverse, sums.unshift);
        products.clear();
    }
};

}  // namespace
