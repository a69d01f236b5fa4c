// Parameters -> operands, and the sums of their cotangents -> those of the parameters.
//
// Compiled without contraction of products and sums: a floor must see what NumPy's would.

#include <math.h>

#include "../formulas/color.hpp"
#include "../formulas/parameters.hpp"
#include "exports.hpp"
#include "kernels.hpp"
#include "operands.hpp"

namespace {

template <class T>
const T* of_sample(const Operand& operand, int64_t sample) {
    return static_cast<const T*>(operand.data) + sample * operand.stride;
}

// --- operands -------------------------------------------------------------------------------------------------------

template <class T>
void prepare_steps(const Call& call, int64_t sample, Operands<T>& to) {
    const bool hard = call.arithmetic != SMOOTH, cubic = call.cubic_flooring;
    for (int group = 0; group < (call.channels == 3 ? 2 : 1); ++group) {
        const T scale = call.quality.data ? scale_of(*of_sample<T>(call.quality, sample), hard, cubic).value : T(0);
        for (int i = 0; i < 64; ++i) {
            const T step = call.quality.data
                               ? step_of(of_sample<T>(call.table[group], sample)[i], scale, hard, cubic).value
                               : of_sample<T>(call.steps[group], sample)[i];
            const int j = i % 8 * 8 + i / 8;
            to.steps[group][i] = to.transposed[group][j] = step;
            to.reciprocals[group][i] = to.transposed_reciprocals[group][j] = 1 / step;
        }
    }
}

template <class T>
void prepare_color(const Call& call, int64_t sample, Operands<T>& to) {
    const T *matrix = of_sample<T>(call.matrix, sample), *offset = of_sample<T>(call.offset, sample);
    for (int i = 0; i < 9; ++i) to.matrix[i] = matrix[i];
    invert(matrix, to.inverse);
    for (int c = 0; c < 3; ++c) {
        to.shift[c] = offset[c] - T(LEVEL);
        to.unshift[c] = 0;
        for (int d = 0; d < 3; ++d) to.unshift[c] += to.inverse[3 * c + d] * (T(LEVEL) - offset[d]);
    }
}

template <class T>
void prepare(const Call& call) {
    const int64_t count = call.operands_stride ? call.samples : 1;
    for (int64_t sample = 0; sample < count; ++sample) {
        Operands<T>& to = static_cast<Operands<T>*>(call.operands)[sample];
        prepare_steps(call, sample, to);
        if (call.channels == 3) prepare_color(call, sample, to);
    }
}

// --- cotangents -----------------------------------------------------------------------------------------------------

// Sums over strips, in their order, whatever thread had them.
struct Totals {
    double steps[2][64], matrix[9], shift[3], inverse[9], unshift[3];
};

template <class T, int N>
void add(const T (&from)[N], double (&to)[N]) {
    for (int i = 0; i < N; ++i) to[i] += double(from[i]);
}

template <class T>
void total_of(const Call& call, int64_t first, int64_t count, Totals& totals) {
    totals = Totals();
    for (int64_t strip = first; strip < first + count; ++strip) {
        const Sums<T>& sums = static_cast<const Sums<T>*>(call.sums)[strip];
        if (call.needs_steps)
            for (int group = 0; group < 2; ++group) add(sums.steps[group], totals.steps[group]);
        if (!call.needs_color) continue;
        add(sums.matrix, totals.matrix);
        add(sums.shift, totals.shift);
        add(sums.inverse, totals.inverse);
        add(sums.unshift, totals.unshift);
    }
}

template <class T>
void add_to(const Operand& operand, int64_t sample, int64_t index, double value) {
    if (operand.data) static_cast<T*>(operand.data)[sample * operand.stride + index] += T(value);
}

template <class T>
void finish_steps(const Call& call, int64_t sample, const Totals& totals) {
    const bool hard = call.arithmetic != SMOOTH, cubic = call.cubic_flooring;
    double g_scale = 0;
    Stepped<T> scale = {};
    if (call.quality.data) scale = scale_of(*of_sample<T>(call.quality, sample), hard, cubic);
    for (int group = 0; group < (call.channels == 3 ? 2 : 1); ++group)
        for (int i = 0; i < 64; ++i) {
            double g = totals.steps[group][i % 8 * 8 + i / 8];
            if (!call.quality.data) {
                add_to<T>(call.g_steps[group], sample, i, g);
                continue;
            }
            if (call.g_steps[group].data) g += double(of_sample<T>(call.g_steps[group], sample)[i]);
            const T entry = of_sample<T>(call.table[group], sample)[i];
            g *= double(step_of(entry, scale.value, hard, cubic).derivative);
            add_to<T>(call.g_table[group], sample, i, g * double(scale.value));
            g_scale += g * double(entry);
        }
    add_to<T>(call.g_quality, sample, 0, g_scale * double(scale.derivative));
}

void multiply(const double (&a)[9], const double (&b)[9], double (&product)[9]) {
    for (int i = 0; i < 9; ++i) {
        product[i] = 0;
        for (int k = 0; k < 3; ++k) product[i] += a[i / 3 * 3 + k] * b[3 * k + i % 3];
    }
}

template <class T>
void finish_color(const Call& call, int64_t sample, const Totals& totals) {
    const T *matrix = of_sample<T>(call.matrix, sample), *offset = of_sample<T>(call.offset, sample);
    double m[9], inverse[9], transposed[9], g_inverse[9], half[9], g_matrix[9];
    for (int i = 0; i < 9; ++i) m[i] = double(matrix[i]);
    invert(m, inverse);
    for (int i = 0; i < 9; ++i) {
        transposed[i] = inverse[i % 3 * 3 + i / 3];
        g_inverse[i] = totals.inverse[i] + totals.unshift[i / 3] * (LEVEL - double(offset[i % 3]));
    }
    multiply(g_inverse, transposed, half);
    multiply(transposed, half, g_matrix);
    for (int i = 0; i < 9; ++i) add_to<T>(call.g_matrix, sample, i, totals.matrix[i] - g_matrix[i]);
    for (int d = 0; d < 3; ++d) {
        double g = totals.shift[d];
        for (int c = 0; c < 3; ++c) g -= inverse[3 * c + d] * totals.unshift[c];
        add_to<T>(call.g_offset, sample, d, g);
    }
}

template <class T>
void finish(const Call& call) {
    const int64_t strips = pyjpegdiff_strips(&call);
    const int64_t count = call.operands_stride ? call.samples : 1;
    const int64_t strips_each = call.operands_stride ? strips : strips * call.samples;
    Totals totals;
    for (int64_t sample = 0; sample < count; ++sample) {
        total_of<T>(call, sample * strips_each, strips_each, totals);
        if (call.needs_steps) finish_steps<T>(call, sample, totals);
        if (call.needs_color) finish_color<T>(call, sample, totals);
    }
}

}  // namespace

int64_t pyjpegdiff_operands_size(const Call* call) {
    return call->is_double ? sizeof(Operands<double>) : sizeof(Operands<float>);
}
int64_t pyjpegdiff_sums_size(const Call* call) { return call->is_double ? sizeof(Sums<double>) : sizeof(Sums<float>); }
void pyjpegdiff_prepare(const Call* call) {
    if (call->is_double)
        prepare<double>(*call);
    else
        prepare<float>(*call);
}
void pyjpegdiff_finish(const Call* call) {
    if (call->is_double)
        finish<double>(*call);
    else
        finish<float>(*call);
}
