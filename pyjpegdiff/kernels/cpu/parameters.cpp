// Parameters -> operands, and the sums of their cotangents -> those of the parameters.
//
// Compiled without contraction of products and sums: a floor must see what NumPy's would.

#include <math.h>
#include <string.h>

#include "../formulas/color.hpp"
#include "../formulas/parameters.hpp"
#include "exports.hpp"
#include "kernels.hpp"
#include "operands.hpp"
#include "shape.hpp"

namespace {

// Where the parameters of a sample are, or their cotangents. Those that there are none of are null.
template <class T>
struct Parameters {
    T *quality = nullptr, *table[2] = {}, *steps[2] = {}, *matrix = nullptr, *offset = nullptr;

    Parameters(const Call& call, T* first) {
        if (call.source != FROM_BLOCKS) quality = first++;
        for (int group = 0; group < (call.channels == 3 ? 2 : 1); ++group, first += 64)
            (quality ? table : steps)[group] = first;
        if (call.channels == 3) matrix = first, offset = first + 9;
    }
};

int64_t sets_of(const Call& call) { return call.parameters_stride ? call.samples : 1; }

template <class T>
Parameters<const T> parameters_of(const Call& call, int64_t set) {
    return {call, static_cast<const T*>(call.parameters) + set * call.parameters_stride};
}

// --- operands -------------------------------------------------------------------------------------------------------

template <class T>
void prepare_steps(const Call& call, const Parameters<const T>& from, Operands<T>& to) {
    const bool hard = call.arithmetic != SMOOTH, cubic = call.cubic_flooring;
    const T scale = from.quality ? scale_of(*from.quality, hard, cubic).value : T(0);
    for (int group = 0; group < (call.channels == 3 ? 2 : 1); ++group)
        for (int i = 0; i < 64; ++i) {
            const T step = from.quality ? step_of(from.table[group][i], scale, hard, cubic).value : from.steps[group][i];
            const int j = i % 8 * 8 + i / 8;
            to.steps[group][i] = to.transposed[group][j] = step;
            to.reciprocals[group][i] = to.transposed_reciprocals[group][j] = 1 / step;
        }
}

template <class T>
void prepare_color(const Parameters<const T>& from, Operands<T>& to) {
    for (int i = 0; i < 9; ++i) to.matrix[i] = from.matrix[i];
    invert(from.matrix, to.inverse);
    for (int c = 0; c < 3; ++c) {
        to.shift[c] = from.offset[c] - T(LEVEL);
        to.unshift[c] = 0;
        for (int d = 0; d < 3; ++d) to.unshift[c] += to.inverse[3 * c + d] * (T(LEVEL) - from.offset[d]);
    }
}

template <class T>
void prepare(const Call& call) {
    for (int64_t set = 0; set < sets_of(call); ++set) {
        const auto from = parameters_of<T>(call, set);
        Operands<T>& to = static_cast<Operands<T>*>(call.operands)[set];
        prepare_steps(call, from, to);
        if (call.channels == 3) prepare_color(from, to);
    }
    if (call.sums) memset(call.sums, 0, call.samples * Shape(call).strips * sizeof(Sums<T>));
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
void add_color(const Sums<T>& sums, Totals& totals) {
    add(sums.matrix, totals.matrix);
    add(sums.shift, totals.shift);
    add(sums.inverse, totals.inverse);
    add(sums.unshift, totals.unshift);
}

// A sample's elastic cotangents are no sums of those of its strips.
template <class T>
void add_elastic(const Sums<T>* strips, int64_t count, Totals& totals) {
    for (int group = 0; group < 2; ++group) {
        double sums[ELASTIC_SUMS][64] = {};
        for (int64_t strip = 0; strip < count; ++strip)
            for (int i = 0; i < ELASTIC_SUMS; ++i) add(strips[strip].steps[group].elastic[i], sums[i]);
        for (int i = 0; i < 64; ++i) totals.steps[group][i] += elastic_cotangent(sums[0][i], sums[1][i], sums[2][i]);
    }
}

template <class T>
void total_of(const Call& call, int64_t first, int64_t count, Totals& totals) {
    totals = Totals();
    const int64_t strips_each = Shape(call).strips;
    for (int64_t sample = first; sample < first + count; ++sample) {
        const Sums<T>* const strips = static_cast<const Sums<T>*>(call.sums) + sample * strips_each;
        for (int64_t strip = 0; strip < strips_each; ++strip) {
            if (call.needs_steps)
                for (int group = 0; group < 2; ++group) add(strips[strip].steps[group].shares, totals.steps[group]);
            if (call.needs_color) add_color(strips[strip], totals);
        }
        if (call.needs_steps && call.elastic) add_elastic(strips, strips_each, totals);
    }
}

template <class T>
void finish_steps(
    const Call& call, int64_t set, const Totals& totals, const Parameters<const T>& at, const Parameters<T>& to) {
    const bool hard = call.arithmetic != SMOOTH, cubic = call.cubic_flooring;
    double g_scale = 0;
    Stepped<T> scale = {};
    if (at.quality) scale = scale_of(*at.quality, hard, cubic);
    for (int group = 0; group < (call.channels == 3 ? 2 : 1); ++group)
        for (int i = 0; i < 64; ++i) {
            double g = totals.steps[group][i % 8 * 8 + i / 8];
            if (!at.quality) {
                to.steps[group][i] = T(g);
                continue;
            }
            if (call.g_steps[group]) g += double(static_cast<const T*>(call.g_steps[group])[64 * set + i]);
            const T entry = at.table[group][i];
            g *= double(step_of(entry, scale.value, hard, cubic).derivative);
            to.table[group][i] = T(g * double(scale.value));
            g_scale += g * double(entry);
        }
    if (at.quality) *to.quality = T(g_scale * double(scale.derivative));
}

void multiply(const double (&a)[9], const double (&b)[9], double (&product)[9]) {
    for (int i = 0; i < 9; ++i) {
        product[i] = 0;
        for (int k = 0; k < 3; ++k) product[i] += a[i / 3 * 3 + k] * b[3 * k + i % 3];
    }
}

template <class T>
void finish_color(const Totals& totals, const Parameters<const T>& at, const Parameters<T>& to) {
    double m[9], inverse[9], transposed[9], g_inverse[9], half[9], g_matrix[9];
    for (int i = 0; i < 9; ++i) m[i] = double(at.matrix[i]);
    invert(m, inverse);
    for (int i = 0; i < 9; ++i) {
        transposed[i] = inverse[i % 3 * 3 + i / 3];
        g_inverse[i] = totals.inverse[i] + totals.unshift[i / 3] * (LEVEL - double(at.offset[i % 3]));
    }
    multiply(g_inverse, transposed, half);
    multiply(transposed, half, g_matrix);
    for (int i = 0; i < 9; ++i) to.matrix[i] = T(totals.matrix[i] - g_matrix[i]);
    for (int d = 0; d < 3; ++d) {
        double g = totals.shift[d];
        for (int c = 0; c < 3; ++c) g -= inverse[3 * c + d] * totals.unshift[c];
        to.offset[d] = T(g);
    }
}

template <class T>
void finish(const Call& call) {
    const int64_t samples_each = call.parameters_stride ? 1 : call.samples;
    Totals totals;
    for (int64_t set = 0; set < sets_of(call); ++set) {
        total_of<T>(call, set * samples_each, samples_each, totals);
        const auto at = parameters_of<T>(call, set);
        const Parameters<T> to(call, static_cast<T*>(call.g_parameters) + set * call.parameters_stride);
        if (call.needs_steps) finish_steps(call, set, totals, at, to);
        if (call.needs_color) finish_color(totals, at, to);
    }
}

}  // namespace

int64_t pyjpegdiff_operands_size(const Call* call) {
    return call->is_double ? sizeof(Operands<double>) : sizeof(Operands<float>);
}
int64_t pyjpegdiff_sums_size(const Call* call) { return call->is_double ? sizeof(Sums<double>) : sizeof(Sums<float>); }
int64_t pyjpegdiff_scratch_size(const Call* call) { return 2 * scratch_size(*call); }
int64_t pyjpegdiff_strips(const Call* call) { return Shape(*call).strips; }
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
