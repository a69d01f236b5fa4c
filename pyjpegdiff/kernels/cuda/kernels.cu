// Three kernels: image -> planes, planes -> image, and the VJP of both together.
//
// Arrays are contiguous; `Int` strides of operands are 0 where all samples share one. Residuals are `u`, the
// coefficients in units of their step, in place; a bit for each sample of the decoded planes that was in range (hard
// only), a byte per row of a block; a bit for each channel of the result that was, a byte per pixel. Pointers that are null
// are results that are not needed.

#include "tile.cuh"
#include "surrogates.cuh"
#include "color.cuh"
#include "dct.cuh"
#include "sampling.cuh"
#include "quantization.cuh"
#include "prepare.cuh"

// Decoded planes: whole samples of -128..127 where every rounding is performed.
#if HARD
typedef signed char Sample;
constexpr REAL DARKEST = REAL(-LEVEL), BRIGHTEST = REAL(255 - LEVEL);
// Half up. Blocks of DC alone are whole eighths and often ties, which the last bit of a real DCT must not decide.
constexpr REAL SAMPLE_BIAS = REAL(0.5 + 1.0 / (1 << 12));
#else
typedef REAL Sample;
#endif

struct alignas(HARD ? 8 : 16) Row {
    Sample samples[BLOCK];
};

// --- image -> u and decoded planes -----------------------------------------------------------------------------------

extern "C" __global__ void __launch_bounds__(THREADS) encode_reconstruct(
    const REAL* image, const REAL* matrix, Int matrix_stride, const REAL* shift, Int shift_stride,
    const REAL* steps_luma, Int steps_luma_stride, const REAL* steps_chroma, Int steps_chroma_stride, Int height,
    Int width, Sample* luma, Sample* chroma, REAL* u_luma, REAL* u_chroma, unsigned char* in_range_luma,
    unsigned char* in_range_chroma) {
    __shared__ REAL pixels[CHANNELS][TILE_HEIGHT][PITCH];
    __shared__ REAL means[SUBSAMPLED ? 2 : 1][BLOCK][CHROMA_PITCH];
    const Size size{static_cast<int>(height), static_cast<int>(width)};
    const Tile tile = this_tile(size);
    const Place at = this_place(tile, size);
    const int line = threadIdx.x % BLOCK;

    const Affine map = forward_map(matrix, matrix_stride, shift, shift_stride, tile.sample);
    for (int p = threadIdx.x; p < TILE_HEIGHT * TILE_WIDTH; p += THREADS) {
        const int y = p / TILE_WIDTH, x = p % TILE_WIDTH;
        const Int row = tile.sample * CHANNELS * height + least(tile.top + y, size.height - 1);
        const REAL* from = image + row * width + least(tile.left + x, size.width - 1);
        REAL pixel[CHANNELS];
        for (int c = 0; c < CHANNELS; ++c) pixel[c] = from[c * height * width];
        to_planes(map, pixel);
        for (int c = 0; c < CHANNELS; ++c) pixels[c][y][x] = pixel[c];
    }
    __syncthreads();

    const bool from_means = SUBSAMPLED && at.group == 1;
    REAL* const plane = from_means ? &means[at.plane][0][0] : &pixels[at.group + at.plane][0][0];
    const int pitch = from_means ? CHROMA_PITCH : PITCH;
    REAL* const line_row = plane + (at.row + line) * pitch + at.column;
    REAL* const line_column = plane + at.row * pitch + at.column + line;
    REAL x[BLOCK];

    if (from_means) {
        const int last_row = sample_size(size, 1).height - 1 - tile.top / ROWS;
        downsample(pixels[CHANNELS - 2 + at.plane], line, at.column, last_row, x);
    } else {
        for (int i = 0; i < BLOCK; ++i) x[i] = line_row[i];
    }
    dct_rows(x);
    for (int i = 0; i < BLOCK; ++i) line_row[i] = x[i];
    __syncthreads();

    const REAL* steps =
        steps_of(steps_luma, steps_luma_stride, steps_chroma, steps_chroma_stride, at.group, tile.sample);
    REAL* const u_out = at.group == 0 ? u_luma : u_chroma;
    for (int i = 0; i < BLOCK; ++i) x[i] = line_column[i * pitch];
    dct_columns(x);
    for (int i = 0; i < BLOCK; ++i) {
        const REAL step = steps[i * BLOCK + line];
        const REAL u = x[i] * (1 / step);
        if (at.exists && u_out) u_out[at.offset + static_cast<Int>(i) * at.width + line] = u;
        x[i] = quantized(u, step) * step;
    }
    idct_columns(x);
    for (int i = 0; i < BLOCK; ++i) line_column[i * pitch] = x[i];
    __syncthreads();

    if (!at.exists) return;
    for (int i = 0; i < BLOCK; ++i) x[i] = line_row[i];
    idct_rows(x);
    Row row;
    unsigned char bits = 0;
    for (int i = 0; i < BLOCK; ++i) {
#if HARD
        const REAL sample = LIBJPEG ? x[i] : floor(x[i] + SAMPLE_BIAS);
        bits |= static_cast<unsigned char>(is_inside(sample, DARKEST, BRIGHTEST) << i);
        row.samples[i] = static_cast<Sample>(clip(sample, DARKEST, BRIGHTEST));
#else
        row.samples[i] = x[i];
#endif
    }
    const Int offset = at.offset + static_cast<Int>(line) * at.width;
    *reinterpret_cast<Row*>((at.group == 0 ? luma : chroma) + offset) = row;
    unsigned char* const in_range = at.group == 0 ? in_range_luma : in_range_chroma;
    if (HARD && in_range) in_range[offset / BLOCK] = bits;
}

// --- decoded planes -> image -----------------------------------------------------------------------------------------

extern "C" __global__ void __launch_bounds__(THREADS) upsample_convert(
    const Sample* luma, const Sample* chroma, const REAL* inverse, Int inverse_stride, const REAL* unshift,
    Int unshift_stride, Int height, Int width, REAL* result, unsigned char* inside) {
    const Size size{static_cast<int>(height), static_cast<int>(width)};
    const Tile tile = this_tile(size);
    const Affine map = backward_map(inverse, inverse_stride, unshift, unshift_stride, tile.sample);
    const Size padded = padded_size(size, 0), extent = sample_size(size, 1), padded_chroma = padded_size(size, 1);
    const Int area = static_cast<Int>(padded_chroma.height) * padded_chroma.width;
    const bool filters = is_triangle(extent);
    for (int p = threadIdx.x; p < TILE_HEIGHT * TILE_WIDTH; p += THREADS) {
        const int y = tile.top + p / TILE_WIDTH, x = tile.left + p % TILE_WIDTH;
        if (y >= size.height || x >= size.width) continue;
        REAL pixel[CHANNELS];
        pixel[0] = luma[(tile.sample * padded.height + y) * padded.width + x];
        for (int c = 1; c < CHANNELS; ++c) {
            const Sample* plane = chroma + (2 * tile.sample + c - 1) * area;
            pixel[c] = upsample(plane, extent, padded_chroma.width, filters, y, x);
        }
        const unsigned char bits = to_rgb(map, pixel);
        const Int row = tile.sample * CHANNELS * height + y;
        for (int c = 0; c < CHANNELS; ++c) result[(row + c * height) * width + x] = pixel[c];
        if (inside) inside[(tile.sample * height + y) * width + x] = bits;
    }
}

// --- cotangent of the result -> those of the image and of the step sizes ----------------------------------------

// In double, at most as many registers as two thread blocks have: by themselves compilers want four, and spill.
constexpr int LEAST_BLOCKS = sizeof(REAL) == 8 ? 2 : 0;

extern "C" __global__ void __launch_bounds__(THREADS, LEAST_BLOCKS) code_vjp(
    const REAL* g_coded, const unsigned char* inside, const REAL* u_luma, const REAL* u_chroma,
    const unsigned char* in_range_luma, const unsigned char* in_range_chroma, const REAL* steps_luma,
    Int steps_luma_stride, const REAL* steps_chroma, Int steps_chroma_stride, const REAL* matrix, Int matrix_stride,
    const REAL* inverse, Int inverse_stride, Int height, Int width, REAL* g_image, REAL* g_steps) {
    __shared__ REAL luma[TILE_HEIGHT][PITCH];
    // Cotangents of pixels have had their use before sums are taken.
    __shared__ union {
        REAL pixels[CHANNELS == 1 ? 1 : 2][CHROMA_TILE_HEIGHT][CHROMA_TILE_PITCH];
        REAL parts[BLOCKS][BLOCK * BLOCK];
    } scratch;
    __shared__ REAL chroma[CHANNELS == 1 ? 1 : 2][BLOCK][CHROMA_PITCH];
    const Size size{static_cast<int>(height), static_cast<int>(width)};
    const Tile tile = this_tile(size);
    const Place at = this_place(tile, size);
    const int line = threadIdx.x % BLOCK;
    const Size extent = sample_size(size, at.group);

    // Cotangents of YCbCr, with the neighbors that upsampling of this tile's chroma reached. Beyond what the planes
    // cover they are replicated, as the planes were; beyond the image, which was cropped, they are zero.
    const Size covered{ROWS * ceil_div(size.height, ROWS), COLUMNS * ceil_div(size.width, COLUMNS)};
    constexpr int SPAN = TILE_WIDTH + 2 * HALO_COLUMNS;
    for (int p = threadIdx.x; p < CHROMA_TILE_HEIGHT * SPAN; p += THREADS) {
        const int i = p / SPAN, j = p % SPAN;
        const int y = least(most(tile.top + i - HALO_ROWS, 0), covered.height - 1);
        const int x = least(most(tile.left + j - HALO_COLUMNS, 0), covered.width - 1);
        REAL g[CHANNELS] = {};
        if (y < size.height && x < size.width) {
            const unsigned char bits = inside[(tile.sample * height + y) * width + x];
            const REAL* from = g_coded + (tile.sample * CHANNELS * height + y) * width + x;
            for (int c = 0; c < CHANNELS; ++c) g[c] = clip_vjp(from[c * height * width], bits >> c & 1);
#if CHANNELS == 3
            REAL ycc[3];
            mix_vjp(inverse + tile.sample * inverse_stride, g, ycc);
            for (int c = 0; c < 3; ++c) g[c] = ycc[c];
#endif
        }
        for (int c = 1; c < CHANNELS; ++c) scratch.pixels[c - 1][i][j] = g[c];
        const int row = i - HALO_ROWS, column = j - HALO_COLUMNS;
        if (row >= 0 && row < TILE_HEIGHT && column >= 0 && column < TILE_WIDTH) {
            // Luma has nothing to replicate.
            const bool cropped = tile.top + row >= size.height || tile.left + column >= size.width;
            luma[row][column] = cropped ? 0 : g[0];
        }
    }
    __syncthreads();

    REAL* const plane = at.group == 0 ? &luma[0][0] : &chroma[at.plane][0][0];
    const int pitch = at.group == 0 ? PITCH : CHROMA_PITCH;
    REAL* const line_row = plane + (at.row + line) * pitch + at.column;
    REAL* const line_column = plane + at.row * pitch + at.column + line;
    REAL g[BLOCK];

    if (at.group == 0) {
        for (int i = 0; i < BLOCK; ++i) g[i] = line_row[i];
    } else {
        upsample_vjp(scratch.pixels[at.plane], line, at.column, is_triangle(extent), g);
        const int y = tile.top / ROWS + line, x = tile.left / COLUMNS + at.column;
        for (int i = 0; i < BLOCK; ++i) g[i] = y < extent.height && x + i < extent.width ? g[i] : 0;
    }
    if (HARD && at.exists) {
        const unsigned char* const in_range = at.group == 0 ? in_range_luma : in_range_chroma;
        const unsigned char bits = in_range[(at.offset + static_cast<Int>(line) * at.width) / BLOCK];
        for (int i = 0; i < BLOCK; ++i) g[i] = clip_vjp(g[i], bits >> i & 1);
    }
    dct(g);
    for (int i = 0; i < BLOCK; ++i) line_row[i] = g[i];
    __syncthreads();

    // Through quantization and back the step cancels: g r'(u) goes on. Coefficients are read again for each sum: there
    // are no registers for them.
    const REAL* const u_in = at.group == 0 ? u_luma : u_chroma;
    for (int i = 0; i < BLOCK; ++i) g[i] = line_column[i * pitch];
    dct(g);
    const auto u = [&](int i) { return u_in[at.offset + static_cast<Int>(i) * at.width + line]; };
    const REAL* const steps =
        steps_of(steps_luma, steps_luma_stride, steps_chroma, steps_chroma_stride, at.group, tile.sample);
    const auto step = [&](int i) { return steps[i * BLOCK + line]; };
    for (int which = 0; g_steps && which < SUMS; ++which) {
        for (int i = 0; i < BLOCK; ++i)
            scratch.parts[threadIdx.x / BLOCK][i * BLOCK + line] = at.exists ? step_share(which, g[i], u(i), step(i)) : 0;
        __syncthreads();
        sum_blocks(scratch.parts, g_steps + (static_cast<Int>(blockIdx.x) * SUMS + which) * GROUPS * BLOCK * BLOCK);
        __syncthreads();
    }
    if (!g_image) return;

    for (int i = 0; i < BLOCK; ++i) g[i] = at.exists ? g[i] * rounding_derivative(u(i), step(i)) : 0;
    idct(g);
    for (int i = 0; i < BLOCK; ++i) line_column[i * pitch] = g[i];
    __syncthreads();

    for (int i = 0; i < BLOCK; ++i) g[i] = line_row[i];
    idct(g);
    for (int i = 0; i < BLOCK; ++i) line_row[i] = g[i];
    __syncthreads();

    for (int p = threadIdx.x; p < TILE_HEIGHT * TILE_WIDTH; p += THREADS) {
        const int y = tile.top + p / TILE_WIDTH, x = tile.left + p % TILE_WIDTH;
        if (y >= size.height || x >= size.width) continue;
        REAL pixel[CHANNELS];
        pixel[0] = downsample_vjp<1, 1>(luma, tile, size, size, padded_size(size, 0), y, x);
        REAL* const to = g_image + (tile.sample * CHANNELS * height + y) * width + x;
#if CHANNELS == 3
        for (int c = 1; c < 3; ++c)
            pixel[c] = downsample_vjp<ROWS, COLUMNS>(
                chroma[c - 1], tile, size, sample_size(size, 1), padded_size(size, 1), y, x);
        REAL rgb[3];
        mix_vjp(matrix + tile.sample * matrix_stride, pixel, rgb);
        for (int c = 0; c < 3; ++c) to[c * height * width] = rgb[c];
#else
        to[0] = pixel[0];
#endif
    }
}
