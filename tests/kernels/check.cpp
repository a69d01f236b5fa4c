// The kernels without Python: for sanitizers, and for processors that are only emulated.
//
// Random calls over arrays that end where the kernels must stop. Checked: every instruction set gives the same bits in
// libjpeg's arithmetic, threads and cuts make no difference, and the VJP of the smooth double forward is what central
// differences say. Prints the number of calls; returns 1 at the first mistake.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "../../pyjpegdiff/kernels/cpu/exports.hpp"

static std::mt19937 generator(1);

static int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(generator); }
static double uniform(double low, double high) { return std::uniform_real_distribution<double>(low, high)(generator); }

static void demand(bool condition, const char* what) {
    if (condition) return;
    std::printf("wrong: %s\n", what);
    std::exit(1);
}

// Bytes on the heap, exactly as many as asked for, so that a sanitizer sees one too many.
struct Bytes {
    std::unique_ptr<char[]> memory;
    size_t size = 0;

    void* make(size_t count) {
        memory = std::unique_ptr<char[]>(new char[count]);
        size = count;
        std::memset(memory.get(), 0, count);
        return memory.get();
    }
    void copy(const Bytes& other) { std::memcpy(make(other.size), other.memory.get(), other.size); }
    bool equals(const Bytes& other) const {
        return size == other.size && std::memcmp(memory.get(), other.memory.get(), size) == 0;
    }
};

struct Case {
    Call call = {};
    Bytes image, result, cotangent, g_image, parameters, g_parameters, operands, sums, residuals;
    size_t number = 4;

    static int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }

    void set_number(Bytes& bytes, size_t index, double x) {
        const float y = float(x);
        std::memcpy(bytes.memory.get() + number * index, number == 8 ? (const void*)&x : (const void*)&y, number);
    }
    void fill_numbers(Bytes& bytes, double low, double high, bool whole) {
        for (size_t i = 0; i < bytes.size / number; ++i) {
            const double x = uniform(low, high);
            set_number(bytes, i, whole ? std::round(x) : x);
        }
    }

    Pixels pixels(Bytes& bytes, bool interleaved, int kind, int64_t width_of_one) {
        const int64_t c = call.channels, h = call.height, w = call.width, b = width_of_one;
        void* const data = bytes.make(size_t(call.samples * c * h * w * b));
        if (interleaved) return {data, kind, c * h * w * b, b, w * c * b, c * b};
        return {data, kind, c * h * w * b, h * w * b, w * b, b};
    }

    // Quality, tables, and the matrix and offset of color.
    void fill_parameters() {
        const size_t tables = call.channels == 3 ? 128 : 64, count = 1 + tables + (call.channels == 3 ? 12 : 0);
        const double jfif[9] = {0.299, 0.587, 0.114, -0.168736, -0.331264, 0.5, 0.5, -0.418688, -0.081312};
        call.parameters_stride = pick(0, 1) ? int64_t(count) : 0;
        const size_t sets = call.parameters_stride ? size_t(call.samples) : 1;
        call.parameters = parameters.make(sets * count * number);
        call.g_parameters = g_parameters.make(sets * count * number);
        for (size_t i = 0; i < sets * count; ++i) {
            const size_t place = i % count, color = place - 1 - tables;
            const double x = place == 0       ? uniform(20, 90)
                             : place <= tables ? uniform(10, 90)
                             : color < 9       ? jfif[color]
                                               : uniform(100, 130);
            set_number(parameters, i, x);
        }
    }

    void make_residuals(bool hard) {
        int64_t end = 0;
        for (int group = 0; group < (call.channels == 3 ? 2 : 1); ++group) {
            const int64_t samples = (group ? 2 : 1) * up(up(call.height, group ? call.rows : 1), 8) *
                                    up(up(call.width, group ? call.columns : 1), 8) * 64;
            call.u[group] = end;
            end += samples * int64_t(number);
            call.in_range[group] = end;
            if (hard) end += samples / 8;
        }
        call.inside = end;
        end += call.channels * call.height * up(call.width, 8);
        call.residuals_stride = up(end, 8) * 8;
        call.residuals = residuals.make(size_t(call.samples * call.residuals_stride));
        call.has_u = call.has_inside = 1;
        call.has_in_range = hard;
    }

    Case(int arithmetic, bool is_double, bool bytes_of_image, int rounding) {
        number = is_double ? 8 : 4;
        const int samplings[5][2] = {{1, 1}, {1, 2}, {2, 1}, {2, 2}, {1, 1}};
        const int sampling = pick(0, 4);
        call.samples = pick(1, 3);
        call.height = pick(1, 70);
        call.width = pick(1, 70);
        call.channels = sampling == 4 ? 1 : 3;
        call.rows = samplings[sampling][0];
        call.columns = samplings[sampling][1];
        call.is_double = is_double;
        call.arithmetic = arithmetic;
        call.rounding = rounding;
        call.cubic_flooring = arithmetic == SMOOTH;
        call.source = FROM_IMAGE;
        call.sink = TO_IMAGE;
        call.scale = 1;
        const int kind = is_double ? F64 : F32;
        const bool interleaved = pick(0, 1);
        call.image = pixels(image, interleaved, bytes_of_image ? int(U8) : kind, bytes_of_image ? 1 : number);
        if (bytes_of_image)
            for (size_t i = 0; i < image.size; ++i) image.memory[i] = char(pick(0, 255));
        else
            fill_numbers(image, 0, 255, arithmetic == LIBJPEG);
        call.result = pixels(result, interleaved, kind, number);
        call.cotangent = pixels(cotangent, pick(0, 1), kind, number);
        fill_numbers(cotangent, -1, 1, false);
        call.g_image = pixels(g_image, pick(0, 1), kind, number);
        fill_parameters();
        call.needs_image = call.needs_steps = 1;
        call.needs_color = call.channels == 3;
        const int64_t sets = call.parameters_stride ? call.samples : 1;
        call.operands = operands.make(size_t(sets * pyjpegdiff_operands_size(&call)));
        call.sums = sums.make(size_t(call.samples * pyjpegdiff_strips(&call) * pyjpegdiff_sums_size(&call)));
        make_residuals(arithmetic != SMOOTH);
    }

    // All strips, in `pieces` threads.
    void run(void (*function)(const Call*, int64_t, int64_t, void*), int pieces) {
        const int64_t strips = call.samples * pyjpegdiff_strips(&call);
        const size_t scratch = size_t(pyjpegdiff_scratch_size(&call));
        std::vector<std::thread> threads;
        for (int piece = 0; piece < pieces; ++piece)
            threads.emplace_back([=] {
                std::unique_ptr<char[]> memory(new char[scratch + 64]);
                char* const aligned = (char*)(((uintptr_t)memory.get() + 63) / 64 * 64);
                function(&call, strips * piece / pieces, strips * (piece + 1) / pieces, aligned);
            });
        for (auto& thread : threads) thread.join();
    }

    void forward(int pieces = 1) {
        pyjpegdiff_prepare(&call);
        run(pyjpegdiff_forward, pieces);
    }

    void vjp(int pieces = 1) {
        pyjpegdiff_prepare(&call);
        run(pyjpegdiff_vjp, pieces);
        pyjpegdiff_finish(&call);
    }

    // The sum of the result times the cotangent, pixel by pixel in the order of the result's memory.
    double loss() {
        forward();
        double total = 0;
        for (int64_t s = 0; s < call.samples; ++s)
            for (int64_t c = 0; c < call.channels; ++c)
                for (int64_t y = 0; y < call.height; ++y)
                    for (int64_t x = 0; x < call.width; ++x)
                        total += *at(call.result, s, c, y, x) * *at(call.cotangent, s, c, y, x);
        return total;
    }
    static double* at(const Pixels& p, int64_t s, int64_t c, int64_t y, int64_t x) {
        return (double*)((char*)p.data + s * p.sample + c * p.channel + y * p.row + x * p.column);
    }
};

// Central differences of the loss, along one number.
static void check_derivative(Case& one, double* number, double derivative, double step, const char* what) {
    const double before = *number;
    *number = before + step;
    const double above = one.loss();
    *number = before - step;
    const double below = one.loss();
    *number = before;
    const double slope = (above - below) / (2 * step);
    if (std::fabs(slope - derivative) > 1e-4 * (1 + std::fabs(slope))) {
        std::printf("%s: %g, by differences %g\n", what, derivative, slope);
        demand(false, what);
    }
}

// --- scans ----------------------------------------------------------------------------------------------------------

// Coefficients of random density, some of them next to a tie, in arrays that end where they end.
struct ScanCase {
    Scan scan = {};
    Bytes blocks[3], g_blocks[3], counts, costs, cotangent;
    int64_t tables;

    explicit ScanCase(bool is_double, bool beyond) {
        const size_t number = is_double ? 8 : 4;
        scan.samples = pick(1, 3);
        scan.components = pick(0, 1) ? 3 : 1;
        scan.is_double = is_double;
        scan.group_rows = scan.components == 1 ? 1 : pick(1, 2);
        scan.group_columns = scan.components == 1 ? 1 : pick(1, 2);
        tables = scan.components == 1 ? 1 : 2;
        scan.rows[0] = pick(1, 5), scan.columns[0] = pick(1, 5);
        scan.rows[1] = Case::up(scan.rows[0], scan.group_rows);
        scan.columns[1] = Case::up(scan.columns[0], scan.group_columns);
        for (int c = 0; c < scan.components; ++c) {
            const size_t count = size_t(scan.samples * scan.rows[c > 0] * scan.columns[c > 0] * 64);
            scan.blocks[c] = blocks[c].make(count * number);
            scan.g_blocks[c] = g_blocks[c].make(count * number);
            const double density = uniform(0, 1), size = std::pow(10, uniform(0, 3));
            for (size_t i = 0; i < count; ++i) {
                double x = uniform(0, 1) < density ? uniform(-size, size) : 0;
                if (pick(0, 1)) x = std::round(4 * x) / 4;
                if (beyond && pick(0, 99) == 0) x = pick(0, 1) ? NAN : pick(0, 1) ? INFINITY : -1e30;
                if (is_double)
                    ((double*)blocks[c].memory.get())[i] = x;
                else
                    ((float*)blocks[c].memory.get())[i] = float(x);
            }
        }
        scan.counts = (int64_t*)counts.make(size_t(scan.samples * tables * 2 * SYMBOLS * 8));
        scan.costs_stride = pick(0, 1) ? tables * COSTS : 0;
        const size_t sets = scan.costs_stride ? size_t(scan.samples) : 1;
        int32_t* const of = (int32_t*)costs.make(sets * size_t(tables * COSTS) * 4);
        for (size_t i = 0; i < sets * size_t(tables * COSTS); ++i) of[i] = pick(1, 60);
        scan.costs = of;
        double* const weights = (double*)cotangent.make(size_t(scan.samples) * 8);
        for (int64_t i = 0; i < scan.samples; ++i) weights[i] = uniform(-2, 2);
        scan.cotangent = weights;
    }

    bool count() {
        std::memset(counts.memory.get(), 0, counts.size);
        bool fits = true;
        for (int64_t sample = scan.samples; sample-- > 0;) fits &= bool(pyjpegdiff_count(&scan, sample, sample + 1));
        return fits;
    }
    bool vjp() { return pyjpegdiff_count_vjp(&scan, 0, scan.samples) != 0; }

    // Blocks that were counted, with dummies: each has one DC symbol.
    int64_t blocks_counted() const {
        int64_t total = 0;
        for (int64_t table = 0; table < scan.samples * tables; ++table)
            for (int64_t symbol = 0; symbol < SYMBOLS; ++symbol) total += scan.counts[2 * table * SYMBOLS + symbol];
        return total;
    }
    int64_t blocks_expected() const {
        const int64_t chroma = scan.components == 1 ? 0 : 2 * scan.rows[1] * scan.columns[1];
        return scan.samples * (Case::up(scan.rows[0], scan.group_rows) * scan.group_rows *
                                   Case::up(scan.columns[0], scan.group_columns) * scan.group_columns + chroma);
    }
};

static int check_scan(int sets, bool is_double, bool beyond) {
    ScanCase one(is_double, beyond);
    Bytes counts, g_blocks[3];
    for (int set = 0; set < sets; ++set) {
        pyjpegdiff_use(set);
        const bool fits = one.count();
        demand(one.vjp() == fits, "count and its VJP disagree on what fits");
        if (fits) demand(one.blocks_counted() == one.blocks_expected(), "a block has not been counted");
        if (fits && set > 0) {
            demand(counts.equals(one.counts), "instruction sets differ in counts");
            for (int c = 0; c < one.scan.components; ++c)
                demand(g_blocks[c].equals(one.g_blocks[c]), "instruction sets differ in the VJP of counts");
        }
        counts.copy(one.counts);
        for (int c = 0; c < one.scan.components; ++c) g_blocks[c].copy(one.g_blocks[c]);
    }
    return 2 * sets;
}

int main(int count_of_arguments, char** arguments) {
    const int rounds = count_of_arguments > 1 ? std::atoi(arguments[1]) : 60;
    int sets = 1, calls = 0;
    for (const char* name = pyjpegdiff_instruction_sets(); *name; ++name) sets += *name == ' ';
    for (int round = 0; round < rounds; ++round) {
        for (int arithmetic = SMOOTH; arithmetic <= LIBJPEG; ++arithmetic) {
            Case one(arithmetic, round % 3 == 0, round % 2, round % 5);
            for (int set = 0; set < sets; ++set) {
                pyjpegdiff_use(set);
                one.forward();
                one.vjp();
                Bytes result, g_image, g_parameters;
                result.copy(one.result);
                g_image.copy(one.g_image);
                g_parameters.copy(one.g_parameters);
                one.forward(3);
                one.vjp(3);
                demand(result.equals(one.result), "threads make a difference to the result");
                demand(g_image.equals(one.g_image), "threads make a difference to the image's cotangent");
                demand(g_parameters.equals(one.g_parameters), "threads make a difference to sums");
                if (set > 0 && arithmetic == LIBJPEG) {
                    pyjpegdiff_use(0);
                    one.forward();
                    demand(result.equals(one.result), "instruction sets differ in libjpeg's arithmetic");
                }
                calls += 4;
            }
        }
        for (int kind = 0; kind < 4; ++kind) calls += check_scan(sets, kind % 2, kind / 2);
        pyjpegdiff_use(round % sets);
        // Sine: the only surrogate without jumps in value or derivative, beside the identity.
        Case one(SMOOTH, true, false, round % 2 ? SINE : IDENTITY);
        one.call.cubic_flooring = 0;
        one.forward();
        one.vjp();
        const int64_t s = pick(0, int(one.call.samples) - 1), c = pick(0, int(one.call.channels) - 1);
        const int64_t y = pick(0, int(one.call.height) - 1), x = pick(0, int(one.call.width) - 1);
        check_derivative(one, Case::at(one.call.image, s, c, y, x), *Case::at(one.call.g_image, s, c, y, x), 1e-5, "image");
        const size_t count = one.parameters.size / 8, places = one.call.channels == 3 ? 141 : 65;
        // Of each set: quality, an entry of each table, one of the matrix, one of the offset.
        for (int first : {0, 1, 65, 129, 138}) {
            const int last = first == 0 ? 0 : first == 129 ? 137 : first == 138 ? 140 : first + 63;
            if (size_t(last) >= places) break;
            const size_t at = size_t(pick(first, last)) + places * size_t(pick(0, int(count / places) - 1));
            const double g = ((double*)one.g_parameters.memory.get())[at];
            check_derivative(one, (double*)one.parameters.memory.get() + at, g, 1e-6, "parameter");
        }
        ++calls;
    }
    std::printf("%d calls, instruction sets: %s\n", calls, pyjpegdiff_instruction_sets());
}
