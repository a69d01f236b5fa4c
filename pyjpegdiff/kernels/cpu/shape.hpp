// The sizes of a call's planes, and the memory of one strip: 8 rows of chroma samples and the luma that goes with them.

#pragma once

#include <string.h>

#include "call.hpp"
#include "operands.hpp"

namespace {

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct Shape {
    int64_t height, width, groups, rows, columns, strips;
    int64_t extent_rows[2], extent_columns[2];  // in samples of luma and chroma
    int64_t high[2], wide[2];                   // in blocks
    int64_t numbers;                            // of the images of all samples
    int64_t pitch;                              // numbers from row to row of every plane in scratch memory
    bool triangle;  // whether libjpeg filters: where columns are doubled it repeats planes of one or two columns

    explicit Shape(const Call& call)
        : height(call.height), width(call.width), groups(call.channels == 3 ? 2 : 1), rows(call.rows),
          columns(call.columns), strips(ceil_div(call.height, 8 * call.rows)) {
        for (int group = 0; group < 2; ++group) {
            extent_rows[group] = ceil_div(height, group ? rows : 1);
            extent_columns[group] = ceil_div(width, group ? columns : 1);
            high[group] = ceil_div(extent_rows[group], 8);
            wide[group] = ceil_div(extent_columns[group], 8);
        }
        numbers = call.samples * call.channels * height * width;
        const int64_t luma = 8 * wide[0], chroma = 8 * columns * wide[1];
        pitch = MARGIN + ceil_div(luma > chroma ? luma : chroma, MARGIN) * MARGIN + MARGIN;
        triangle = columns == 1 || extent_columns[1] > 2;
    }

    int channels() const { return groups == 2 ? 3 : 1; }

    static constexpr int64_t MARGIN = 16;  // before and after a row: as many as vectors have lanes at most

    int64_t blocks_down(int64_t strip, int group) const {
        const int64_t first = strip * (group ? 1 : rows), most = group ? 1 : rows;
        return high[group] - first < most ? high[group] - first : most;
    }
    // Of the residuals of a sample, whose planes are one array.
    int64_t u_offset(int group, int64_t plane, int64_t row) const {
        return (plane * high[group] + row) * wide[group] * 64;
    }
    // Blocks of y, cb and cr are arrays of their own.
    int64_t block_offset(int64_t sample, int group, int64_t row) const {
        return (sample * high[group] + row) * wide[group] * 64;
    }
    int64_t inside_pitch() const { return ceil_div(width, 8); }
};

// Those of a sample, or of all.
template <class T>
const Operands<T>* operands_of(const Call& call, int64_t sample) {
    return static_cast<const Operands<T>*>(call.operands) + (call.parameters_stride ? sample : 0);
}

// Where a sample's are. Null: not kept.
template <class T>
struct Residuals {
    T* u[2] = {};
    uint8_t *in_range[2] = {}, *inside = nullptr;

    Residuals() = default;
    Residuals(const Call& call, int64_t sample) {
        if (!call.residuals) return;
        uint8_t* const first = static_cast<uint8_t*>(call.residuals) + sample * call.residuals_stride;
        for (int group = 0; group < (call.channels == 3 ? 2 : 1); ++group) {
            if (call.has_u) u[group] = reinterpret_cast<T*>(first + call.u[group]);
            if (call.has_in_range) in_range[group] = first + call.in_range[group];
        }
        if (call.has_inside) inside = first + call.inside;
    }
};

// How many coefficients ahead residuals are fetched.
constexpr int64_t AHEAD = 1024;

// Rows of scratch memory, in the order in which they are taken.
constexpr int64_t LUMA_ROWS = 17, CHROMA_ROWS = 9, RING = 4;
constexpr int64_t SCRATCH_ROWS = LUMA_ROWS + 2 * CHROMA_ROWS + 2 * RING + 4;

// Bytes of a `Scratch`. A call with color needs two.
inline int64_t scratch_size(const Call& call) {
    return (SCRATCH_ROWS * Shape(call).pitch + 2 * Shape::MARGIN) * (call.is_double ? 8 : 4);
}

template <class T>
struct Scratch {
    T* luma;       // LUMA_ROWS
    T* chroma[2];  // CHROMA_ROWS
    T* ring[2];    // RING rows of full width
    T* spare[4];

    // Vectors at the end of a row compute with its margin, too. Whatever was in that memory may be subnormal numbers,
    // with which processors compute a hundred times slower.
    Scratch(const Shape& shape, void* memory) {
        memset(memory, 0, (SCRATCH_ROWS * shape.pitch + 2 * Shape::MARGIN) * sizeof(T));
        T* next = static_cast<T*>(memory) + Shape::MARGIN;
        const auto take = [&](int64_t rows) {
            T* const taken = next;
            next += rows * shape.pitch;
            return taken;
        };
        luma = take(LUMA_ROWS);
        for (auto& plane : chroma) plane = take(CHROMA_ROWS);
        for (auto& plane : ring) plane = take(RING);
        for (auto& row : spare) row = take(1);
    }
};

}  // namespace
