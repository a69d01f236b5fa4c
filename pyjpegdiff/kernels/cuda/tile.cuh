// Who does what: a thread block takes a tile of the image, in it each thread one line of one 8x8 block.
//
// A tile is 64 pixels wide and as high as a block of chroma. Its blocks are those of luma, row by row, then those of Cb
// and of Cr: 16 + 4 + 4 in 4:2:0. Eight threads go with each, one a row in passes along rows, one a column in passes
// along columns. Tiles in shared memory are an odd number of words wide, so that neither pass meets bank conflicts.
//
// Defined by whoever compiles this: REAL (float or double), HARD, LIBJPEG (0 or 1), ROUNDING (CUBIC, IDENTITY, SINE,
// FOURIER or TANH), CHANNELS (3, or 1 of gray), ROWS and COLUMNS (pixels to a chroma sample).

#pragma once

typedef long long Int;  // of kernel arguments, whatever the platform

constexpr int BLOCK = 8;
constexpr int TILE_WIDTH = 64, TILE_HEIGHT = BLOCK * ROWS;
constexpr int PITCH = TILE_WIDTH + 1;
constexpr int CHROMA_WIDTH = TILE_WIDTH / COLUMNS;
constexpr int CHROMA_PITCH = CHROMA_WIDTH + 1;
constexpr int CHROMA_PLANES = CHANNELS - 1;
constexpr int GROUPS = CHANNELS == 1 ? 1 : 2;  // luma, chroma
constexpr int LUMA_BLOCKS = ROWS * TILE_WIDTH / BLOCK;
constexpr int CHROMA_BLOCKS = CHROMA_PLANES * CHROMA_WIDTH / BLOCK;
constexpr int BLOCKS = LUMA_BLOCKS + CHROMA_BLOCKS;
constexpr int THREADS = BLOCK * BLOCKS;
constexpr bool SUBSAMPLED = ROWS * COLUMNS > 1;

struct Size {
    int height, width;
};

__device__ inline int ceil_div(int a, int b) { return (a + b - 1) / b; }

__device__ inline int least(int a, int b) { return a < b ? a : b; }

__device__ inline int most(int a, int b) { return a > b ? a : b; }

// In samples of a group of planes, before it is filled to whole blocks.
__device__ inline Size sample_size(Size size, int group) {
    return group == 0 ? size : Size{ceil_div(size.height, ROWS), ceil_div(size.width, COLUMNS)};
}

// In samples of a group's whole blocks.
__device__ inline Size padded_size(Size size, int group) {
    const Size extent = sample_size(size, group);
    return Size{ceil_div(extent.height, BLOCK) * BLOCK, ceil_div(extent.width, BLOCK) * BLOCK};
}

struct Tile {
    Int sample;     // which image of the batch
    int top, left;  // its first pixel
};

// The tile of this thread block: tiles go from left to right, then down, then from image to image.
__device__ inline Tile this_tile(Size size) {
    const int across = ceil_div(size.width, TILE_WIDTH), down = ceil_div(size.height, TILE_HEIGHT);
    const int index = blockIdx.x;
    const int row = index / across;
    return Tile{row / down, row % down * TILE_HEIGHT, index % across * TILE_WIDTH};
}

struct Place {
    int group, plane;  // plane within the group
    int row, column;   // first sample, within the tile's part of the plane
    bool exists;       // whether the padded plane has this block
    Int offset;        // first sample, within the array of all planes of the group
    int width;         // of the padded plane, that is from row to row of the array
};

// The block of this thread.
__device__ inline Place this_place(Tile tile, Size size) {
    Place at;
    int block = threadIdx.x / BLOCK;
    at.group = block < LUMA_BLOCKS ? 0 : 1;
    block -= at.group * LUMA_BLOCKS;
    const int across = (at.group == 0 ? TILE_WIDTH : CHROMA_WIDTH) / BLOCK;
    const int down = at.group == 0 ? ROWS : 1;
    at.plane = block / (across * down);
    at.row = block / across % down * BLOCK;
    at.column = block % across * BLOCK;
    const int planes = at.group == 0 ? 1 : 2;
    const int y = at.row + (at.group == 0 ? tile.top : tile.top / ROWS);
    const int x = at.column + (at.group == 0 ? tile.left : tile.left / COLUMNS);
    const Size padded = padded_size(size, at.group);
    at.exists = y < padded.height && x < padded.width;
    at.offset = ((tile.sample * planes + at.plane) * padded.height + y) * padded.width + x;
    at.width = padded.width;
    return at;
}
