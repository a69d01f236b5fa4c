// The VJP: cotangent of the image or of coefficients -> that of the image or of coefficients, and sums for steps and
// color, strip by strip.
//
// The adjoint of upsampling needs the cotangents of one pixel row above and below those of a chroma row. Rows are read
// in their order and kept as long as they are needed, so none is read twice but at either end of what a thread does.

#pragma once

#include "../formulas/color.hpp"
#include "../formulas/sampling.hpp"
#include "blocks.hpp"
#include "pixels.hpp"
#include "products.hpp"
#include "shape.hpp"

namespace {

template <class T>
struct Backward {
    typedef Vec<T> V;
    static constexpr int L = V::lanes;

    const Call& call;
    const Shape shape;
    Scratch<T> scratch;
    RowReader<T> cotangent, image;
    RowWriter<T> g_image;
    const Operands<T>* operands;
    Residuals<T> residuals;
    const bool goes_on;  // whether the cotangent of the image before its DCT is needed
    alignas(64) StepSums<T> steps[2];

    Backward(const Call& call, void* memory)
        : call(call), shape(call), scratch(shape, memory), cotangent(call.cotangent, shape, 1 / call.scale),
          image(call.image, shape, call.scale), g_image(call.g_image, shape),
          goes_on(call.source == FROM_IMAGE && (call.needs_image || call.needs_color)) {}

    // `is_first`: the strip before was not done by the same object.
    void run(int64_t sample, int64_t strip, bool is_first) {
        operands = operands_of<T>(call, sample);
        residuals = Residuals<T>(call, sample);
        if (call.sink == TO_IMAGE) decoder_vjp(sample, strip, is_first);
        coefficients_vjp(sample, strip);
        if (goes_on) encoder_vjp(sample, strip);
    }

    T* luma_row(int64_t row) const { return scratch.luma + row * shape.pitch; }
    T* chroma_row(int plane, int64_t row) const { return scratch.chroma[plane] + row * shape.pitch; }
    T* ring_row(int plane, int64_t y) const { return scratch.ring[plane] + (y + RING) % RING * shape.pitch; }

    // --- image -> decoded planes ------------------------------------------------------------------------------------

    void decoder_vjp(int64_t sample, int64_t strip, bool is_first) {
        const int64_t rows = shape.rows, top = strip * 8 * rows;
        const bool halo = rows == 2;
        if (halo && !is_first) copy_row(luma_row(16), luma_row(0));
        for (int64_t row = halo ? (is_first ? -1 : 1) : 0; row < 8 * rows + (halo ? 1 : 0); ++row) {
            read_row(sample, top + row, row);
            if (shape.groups == 1) continue;
            if (!halo)
                samples_of(top + row, row);
            else if (row >= 2 && row % 2 == 0)
                samples_of((top + row) / 2 - 1, row / 2 - 1);
        }
    }

    void copy_row(const T* from, T* to) const {
        memcpy(to - Shape::MARGIN, from - Shape::MARGIN, shape.pitch * sizeof(T));
    }

    // Cotangents of luma and chroma of a row of pixels. Beyond the image, which was cropped, they are zero; beyond what
    // the samples cover they are repeated, as the samples were.
    void read_row(int64_t sample, int64_t y, int64_t row) {
        const int64_t covered = shape.rows * shape.extent_rows[1];
        const int64_t from = y < 0 ? 0 : y >= covered ? covered - 1 : y;
        T* const luma = row >= 0 ? luma_row(row) : scratch.spare[0];
        T* const chroma[2] = {ring_row(0, y), ring_row(1, y)};
        const int64_t luma_width = 8 * shape.wide[0], chroma_width = shape.columns * 8 * shape.wide[1];
        if (from >= shape.height) {
            zero(luma, 0, luma_width);
            for (int plane = 0; plane < shape.groups * 2 - 2; ++plane) {
                zero(chroma[plane], 0, chroma_width);
                repeat_edges(chroma[plane]);
            }
            return;
        }
        const int64_t pitch = shape.inside_pitch();
        const uint8_t* const inside = residuals.inside + from * pitch;
        for (int64_t x = 0; x < shape.width; x += CHUNK) {
            const int n = int(shape.width - x < CHUNK ? shape.width - x : CHUNK);
            cotangent.read(sample, from, x, n);
            to_ycc(n, inside + x / 8, luma + x, chroma[0] + x, chroma[1] + x);
        }
        if (y >= shape.height) zero(luma, 0, luma_width);
        zero(luma, shape.width, luma_width);
        for (int plane = 0; plane < shape.groups * 2 - 2; ++plane) {
            zero(chroma[plane], shape.width, chroma_width);
            repeat_edges(chroma[plane]);
        }
    }

    // What the adjoint of the triangle filter sees beyond the edges.
    void repeat_edges(T* row) const {
        const int64_t width = shape.columns * shape.extent_columns[1];
        row[-1] = row[0];
        row[width] = row[width - 1];
    }

    // Cotangents of pixels -> those of YCbCr.
    void to_ycc(int n, const uint8_t* inside, T* luma, T* cb, T* cr) const {
        const T *const red = cotangent.at[0], *const green = cotangent.at[1], *const blue = cotangent.at[2];
        if (shape.groups == 1) {
            for (int i = 0; i < n; i += L) masked(red + i, load_pixel_bits<T>(inside + i / 8, n - i)).store(luma + i);
            return;
        }
        const int64_t pitch = shape.height * shape.inside_pitch();
        const uint8_t *const inside_green = inside + pitch, *const inside_blue = inside + 2 * pitch;
        const Map<T> map(operands->inverse, nullptr);
        for (int i = 0; i < n; i += L) {
            const int of_red = load_pixel_bits<T>(inside + i / 8, n - i);
            const int of_green = load_pixel_bits<T>(inside_green + i / 8, n - i);
            const int of_blue = load_pixel_bits<T>(inside_blue + i / 8, n - i);
            V a = V::load(red + i), b = V::load(green + i), c = V::load(blue + i);
            // To look is cheaper than to mask: most pixels are not clipped.
            if (MASKS_ARE_BITS || (of_red & of_green & of_blue) != (1 << L) - 1) {
                a = masked(red + i, of_red);
                b = masked(green + i, of_green);
                c = masked(blue + i, of_blue);
            }
            mix_vjp(map.matrix, 0, a, b, c).store(luma + i);
            mix_vjp(map.matrix, 1, a, b, c).store(cb + i);
            mix_vjp(map.matrix, 2, a, b, c).store(cr + i);
        }
    }

    static METHOD V masked(const T* g, int bits) { return clip_vjp(V::load(g), Mask<T, L>::of_bits(bits)); }

    void zero(T* row, int64_t from, int64_t to) const {
        for (int64_t x = from; x < to; ++x) row[x] = 0;
    }

    // The adjoint of upsampling: row `i` of the chroma samples, row `row` of the strip.
    void samples_of(int64_t i, int64_t row) {
        const int64_t width = shape.extent_columns[1], whole = 8 * shape.wide[1];
        for (int plane = 0; plane < 2; ++plane) {
            T* const to = chroma_row(plane, row);
            if (i >= shape.extent_rows[1]) {
                zero(to, 0, whole);
                continue;
            }
            const int64_t y = i * shape.rows;
            const T *a = ring_row(plane, y - 1), *b = ring_row(plane, y), *c = ring_row(plane, y + 1),
                    *d = ring_row(plane, y + 2);
            const bool two_rows = shape.rows == 2, filters = shape.triangle;
            const auto vertical = [&](int64_t x) __attribute__((always_inline)) {
                if (!two_rows) return V::load(b + x);
                const V near = V::load(b + x) + V::load(c + x);
                return filters ? triangle(near, V::load(a + x) + V::load(d + x)) : near;
            };
            if (shape.columns == 1) {
                for (int64_t x = 0; x < whole; x += L) vertical(x).store(to + x);
            } else {
                // In registers: of short rows, what was just stored could not be loaded at other places without waiting.
                V odd_before, even, odd, unused;
                unzip(vertical(-2 * L), vertical(-L), unused, odd_before);
                unzip(vertical(0), vertical(L), even, odd);
                for (int64_t x = 0; x < whole; x += L) {
                    V even_behind, odd_behind;
                    unzip(vertical(2 * x + 2 * L), vertical(2 * x + 3 * L), even_behind, odd_behind);
                    const V sum = even + odd;
                    const V far = one_before(odd_before, odd) + one_behind(even, even_behind);
                    (filters ? triangle(sum, far) : sum).store(to + x);
                    odd_before = odd;
                    even = even_behind;
                    odd = odd_behind;
                }
            }
            zero(to, width, whole);
        }
    }

    // --- coefficients -----------------------------------------------------------------------------------------------

    void coefficients_vjp(int64_t sample, int64_t strip) {
        Sums<T>* const sums =
            call.needs_steps ? static_cast<Sums<T>*>(call.sums) + sample * shape.strips + strip : nullptr;
        for (int group = 0; group < shape.groups; ++group) {
            if (sums) steps[group] = {};
            for (int plane = 0; plane < (group ? 2 : 1); ++plane)
                for (int64_t row = 0; row < shape.blocks_down(strip, group); ++row)
                    blocks_of(sample, group, plane, strip * (group ? 1 : shape.rows) + row,
                              group ? chroma_row(plane, 0) : luma_row(8 * row));
            if (sums) sums->steps[group] = steps[group];
        }
    }

    void blocks_of(int64_t sample, int group, int plane, int64_t row, T* samples) {
        const int64_t offset = shape.u_offset(group, plane, row), k_offset = shape.block_offset(sample, group, row);
        const T* const u = residuals.u[group];
        const uint8_t* const in_range = residuals.in_range[group];
        const T* const k = static_cast<const T*>(call.blocks[group + plane]);
        T* const g_k = static_cast<T*>(call.g_blocks[group + plane]);
        each_block<T>(shape.wide[group], [&](auto lanes, int64_t column) __attribute__((always_inline)) {
            if (u && image.is_far) prefetch(u + offset + 64 * column + AHEAD, 8 * V::lanes * sizeof(T));
            const BlockVjpAt<T> at = {
                samples + 8 * column,
                shape.pitch,
                u ? u + offset + 64 * column : nullptr,
                k ? k + k_offset + 64 * column : nullptr,
                g_k ? g_k + k_offset + 64 * column : nullptr,
                in_range ? in_range + offset / 8 + 8 * column : nullptr,
                call.needs_steps ? &steps[group] : nullptr,
            };
            block_vjp<decltype(lanes)>(
                at, *operands, group, call.source, call.sink, call.arithmetic, call.rounding, call.elastic, goes_on);
        });
    }

    // --- planes -> image --------------------------------------------------------------------------------------------

    void encoder_vjp(int64_t sample, int64_t strip) {
        const int64_t rows = shape.rows, top = strip * 8 * rows;
        if (strip == shape.strips - 1) {
            // What repeated rows got goes to the one that was repeated.
            fold_rows(scratch.luma, shape.height - 1 - top, 8 * shape.blocks_down(strip, 0), 8 * shape.wide[0]);
            for (int plane = 0; plane < 2 * shape.groups - 2; ++plane)
                fold_rows(scratch.chroma[plane], shape.extent_rows[1] - 1 - 8 * strip, 8, 8 * shape.wide[1]);
        }
        Products<T> products;
        for (int64_t y = top; y < top + 8 * rows && y < shape.height; ++y) write_row(sample, y, y - top, products);
        if (!call.needs_color) return;
        Sums<T>& sums = static_cast<Sums<T>*>(call.sums)[sample * shape.strips + strip];
        products.store(sums.matrix, sums.shift);
    }

    void fold_rows(T* plane, int64_t last, int64_t count, int64_t width) const {
        T* const to = plane + last * shape.pitch;
        for (int64_t row = last + 1; row < count; ++row)
            for (int64_t x = 0; x < width; ++x) to[x] += plane[row * shape.pitch + x];
    }

    // Cotangents of full width of a row's chroma, where means were taken. Columns that were repeated go to the last.
    const T* full_row(int plane, int64_t y, int64_t row) const {
        const T* const from = chroma_row(plane, row / shape.rows);
        T* const to = scratch.spare[plane];
        if (row % shape.rows) return to;  // that of the row above
        const bool is_doubled = shape.rows == 2 && y == shape.height - 1 && shape.height % 2;
        const T share = T(is_doubled ? 2 : 1) / T(shape.rows * shape.columns);
        const int64_t whole = 8 * shape.wide[1];
        for (int64_t x = 0; x < whole; x += L) {
            const V g = V::load(from + x) * share;
            if (shape.columns == 2) {
                V a, b;
                zip(g, g, a, b);
                a.store(to + 2 * x);
                b.store(to + 2 * x + L);
            } else {
                g.store(to + x);
            }
        }
        fold_columns(to, shape.columns * whole);
        return to;
    }

    void fold_columns(T* row, int64_t count) const {
        if (count == shape.width) return;  // a vector that holds what was just stored would have to wait for it
        T sum = row[shape.width - 1];
        for (int64_t x = shape.width; x < count; ++x) sum += row[x];
        row[shape.width - 1] = sum;
    }

    void write_row(int64_t sample, int64_t y, int64_t row, Products<T>& products) {
        T* const luma = luma_row(row);
        fold_columns(luma, 8 * shape.wide[0]);
        const T* planes[3] = {luma, nullptr, nullptr};
        for (int plane = 0; plane < 2 * shape.groups - 2; ++plane) planes[1 + plane] = full_row(plane, y, row);
        for (int64_t x = 0; x < shape.width; x += CHUNK) {
            const int n = int(shape.width - x < CHUNK ? shape.width - x : CHUNK);
            if (call.needs_image) {
                g_image.open(sample, y, x, n);
                to_rgb(n, x, planes);
                g_image.write(n);
            }
            if (call.needs_color) add_products(sample, y, x, n, planes, products);
        }
    }

    // Cotangents of YCbCr -> those of pixels.
    void to_rgb(int n, int64_t x, const T* const (&planes)[3]) const {
        const V scale = T(call.scale);
        const T *const luma = planes[0] + x, *const cb = planes[1] + x, *const cr = planes[2] + x;
        T *const red = g_image.at[0], *const green = g_image.at[1], *const blue = g_image.at[2];
        if (shape.groups == 1) {
            for (int i = 0; i < n; i += L) (V::load(luma + i) * scale).store(red + i);
            return;
        }
        const Map<T> map(operands->matrix, nullptr);
        for (int i = 0; i < n; i += L) {
            const V a = V::load(luma + i), b = V::load(cb + i), c = V::load(cr + i);
            (mix_vjp(map.matrix, 0, a, b, c) * scale).store(red + i);
            (mix_vjp(map.matrix, 1, a, b, c) * scale).store(green + i);
            (mix_vjp(map.matrix, 2, a, b, c) * scale).store(blue + i);
        }
    }

    void add_products(int64_t sample, int64_t y, int64_t x, int n, const T* const (&planes)[3], Products<T>& products) {
        image.read(sample, y, x, n);
        const T *const red = image.at[0], *const green = image.at[1], *const blue = image.at[2];
        const T *const luma = planes[0] + x, *const cb = planes[1] + x, *const cr = planes[2] + x;
        Products<T> own = products;
        for (int i = 0; i < n; i += L)
            own.add({V::load(luma + i), V::load(cb + i), V::load(cr + i)},
                    {V::load(red + i), V::load(green + i), V::load(blue + i)}, n - i);
        products = own;
    }
};

}  // namespace
