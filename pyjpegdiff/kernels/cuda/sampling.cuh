// Which samples down- and upsampling of chroma meet, and the replication that fills the last blocks.

#pragma once

#include "../formulas/sampling.hpp"

// A power of two: means of whole samples are exact.
constexpr REAL SHARE = REAL(1.0 / (ROWS * COLUMNS));

__device__ inline REAL down_bias(int column) {
    constexpr Biases biases = down_biases(ROWS, COLUMNS);
    return column % 2 ? REAL(biases.odd) : REAL(biases.even);
}

__device__ inline REAL up_bias(int y, int x) {
    constexpr Biases biases = up_biases(ROWS, COLUMNS);
    return (COLUMNS == 2 ? x : y) % 2 ? REAL(biases.odd) : REAL(biases.even);
}

// Whether libjpeg filters at all: where columns are doubled it repeats planes of one or two columns.
__device__ inline bool is_triangle(Size chroma) { return COLUMNS == 1 || chroma.width > 2; }

// Means of a row of eight chroma samples, from a tile of pixels that replicates the image's last row and column.
__device__ inline void downsample(
    const REAL (&pixels)[TILE_HEIGHT][PITCH], int row, int column, int last_row, REAL (&x)[BLOCK]) {
    // Below the last row of means, libjpeg repeats that.
    const int y = ROWS * least(row, last_row);
#pragma unroll
    for (int j = 0; j < BLOCK; ++j) {
        REAL sum = 0;
        for (int dx = 0; dx < COLUMNS; ++dx)
            for (int dy = 0; dy < ROWS; ++dy) sum += pixels[y + dy][COLUMNS * (column + j) + dx];
        const REAL mean = sum * SHARE;
        x[j] = HARD && SUBSAMPLED ? floor(mean + down_bias(column + j)) : mean;
    }
}

// The sample of pixel (y, x) of a chroma plane in global memory, by libjpeg's triangle filter.
template <typename Sample>
__device__ inline REAL upsample(const Sample* plane, Size extent, int width, bool filters, int y, int x) {
    const int i = y / ROWS, j = x / COLUMNS;
    const Sample* row = plane + static_cast<Int>(i) * width;
    if (!SUBSAMPLED || !filters) return row[j];
    REAL near = row[j], far = near;
    if (COLUMNS == 2) far = row[x % 2 ? least(j + 1, extent.width - 1) : most(j - 1, 0)];
    if (ROWS == 2) {
        const Sample* other = plane + static_cast<Int>(y % 2 ? least(i + 1, extent.height - 1) : most(i - 1, 0)) * width;
        const REAL other_near = other[j];
        const REAL other_far = COLUMNS == 2 ? other[x % 2 ? least(j + 1, extent.width - 1) : most(j - 1, 0)] : other_near;
        near = triangle(near, other_near);
        far = triangle(far, other_far);
    }
    const REAL sample = COLUMNS == 2 ? triangle(near, far) : near;
    return HARD ? floor(sample + up_bias(y, x)) : sample;
}

// How far a pixel reaches into the cotangents of its neighbors.
constexpr int HALO_ROWS = ROWS == 2, HALO_COLUMNS = COLUMNS == 2;
constexpr int CHROMA_TILE_HEIGHT = TILE_HEIGHT + 2 * HALO_ROWS;
constexpr int CHROMA_TILE_PITCH = TILE_WIDTH + 2 * HALO_COLUMNS + 1;

// Cotangents of a row of eight chroma samples, from those of pixels with their halo.
__device__ inline void upsample_vjp(
    const REAL (&pixels)[CHROMA_TILE_HEIGHT][CHROMA_TILE_PITCH], int row, int column, bool filters, REAL (&g)[BLOCK]) {
    const auto sum = [filters](REAL near, REAL far) { return filters ? triangle(near, far) : near; };
    constexpr int SPAN = COLUMNS * BLOCK + 2 * HALO_COLUMNS;
    REAL sums[SPAN];
#pragma unroll
    for (int j = 0; j < SPAN; ++j) {
        const int x = COLUMNS * column + j;
        if (ROWS == 2)
            sums[j] = sum(
                pixels[2 * row + 1][x] + pixels[2 * row + 2][x], pixels[2 * row][x] + pixels[2 * row + 3][x]);
        else
            sums[j] = pixels[row][x];
    }
#pragma unroll
    for (int j = 0; j < BLOCK; ++j)
        g[j] = COLUMNS == 2 ? sum(sums[2 * j + 1] + sums[2 * j + 2], sums[2 * j] + sums[2 * j + 3]) : sums[j];
}

// Cotangent of the plane's full-size pixel (y, x), from the tile of a group's samples: those that were replicated also
// get what their copies got. Columns are replicated before means are taken, and rows after, but for one that completes
// a pair.
template <int DOWN, int ACROSS, int HEIGHT, int WIDTH_PITCH>
__device__ inline REAL downsample_vjp(
    const REAL (&samples)[HEIGHT][WIDTH_PITCH], Tile tile, Size size, Size extent, Size padded, int y, int x) {
    const int top = tile.top / DOWN, left = tile.left / ACROSS;
    const int row_end = y / DOWN == extent.height - 1 ? padded.height : y / DOWN + 1;
    const int column_end = x == size.width - 1 ? ACROSS * padded.width : x + 1;
    REAL sum = 0;
    for (int i = y / DOWN; i < row_end; ++i)
        for (int j = x; j < column_end; ++j) sum += samples[i - top][j / ACROSS - left];
    if (y == size.height - 1) sum *= REAL(DOWN * extent.height - y);
    return sum * REAL(1.0 / (DOWN * ACROSS));
}
