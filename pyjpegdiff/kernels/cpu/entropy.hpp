// How often each symbol of a scan occurs, and the derivative of its bits: what stages/entropy.py and
// stages/entropy_slopes.py compute, block by block. It is the same to the bit for every instruction set.

#pragma once

#include "scan.hpp"
#include "shape.hpp"
#include "simd.hpp"

namespace {

constexpr int LARGEST_AC = 1023, LARGEST_DC = 2047;
constexpr int END_OF_BLOCK = 0x00, SIXTEEN_ZEROS = 0xF0;
constexpr double NEAR = 0.25;    // half the width of the dither: how near to a tie there is a derivative
constexpr int WIDEST = 1 << 22;  // from this magnitude on, a float does not tell whole numbers apart as needed here

// --- the order of the scan ------------------------------------------------------------------------------------------

struct Zigzag {
    uint8_t natural[64] = {}, place[64] = {};  // 8 * row + column by place, and the other way
    uint64_t places[8][256] = {};              // by row and a bit per column: a bit per place

    constexpr Zigzag() {
        for (int k = 0, row = 0, column = 0; k < 64; ++k) {
            natural[k] = uint8_t(8 * row + column);
            place[8 * row + column] = uint8_t(k);
            const bool upward = (row + column) % 2 == 0;
            int &ahead = upward ? column : row, &back = upward ? row : column;
            if (ahead == 7) {
                ++back;
            } else {
                ++ahead;
                if (back) --back;
            }
        }
        for (int row = 0; row < 8; ++row)
            for (int bits = 1; bits < 256; ++bits) {
                int column = 0;
                while (!(bits >> column & 1)) ++column;
                places[row][bits] = places[row][bits & (bits - 1)] | uint64_t(1) << place[8 * row + column];
            }
    }
};
constexpr Zigzag ZIGZAG;

// A bit per place, from a bit per coefficient in their natural order.
uint64_t in_order(uint64_t natural) {
    uint64_t places = 0;
    for (int row = 0; row < 8; ++row) places |= ZIGZAG.places[row][natural >> 8 * row & 255];
    return places;
}

int first_of(uint64_t places) { return __builtin_ctzll(places); }
int last_of(uint64_t places) { return 63 - __builtin_clzll(places); }

// Blocks of a component in the order of the scan, without dummies.
template <class Visit>
void for_blocks(const Scan& scan, int component, Visit visit) {
    const int64_t rows = scan.rows[component > 0], columns = scan.columns[component > 0];
    const int64_t high = component ? 1 : scan.group_rows, wide = component ? 1 : scan.group_columns;
    for (int64_t top = 0; top < rows; top += high)
        for (int64_t left = 0; left < columns; left += wide)
            for (int64_t row = top; row < top + high && row < rows; ++row)
                for (int64_t column = left; column < left + wide && column < columns; ++column)
                    visit(row * columns + column);
}

int64_t dummies_of(const Scan& scan) {
    const auto up = [](int64_t n, int64_t step) { return (n + step - 1) / step * step; };
    return up(scan.rows[0], scan.group_rows) * up(scan.columns[0], scan.group_columns) - scan.rows[0] * scan.columns[0];
}

// --- whole numbers --------------------------------------------------------------------------------------------------

int32_t bits_of(float x) {
    int32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

// Neighbors are one apart here, so that adding and taking away rounds to the nearest whole number, ties to even, what
// is below a third of it in magnitude.
template <class T>
constexpr T ROUNDING = sizeof(T) == 4 ? T(12582912) : T(6755399441055744);  // 3/2 of 2^23, of 2^52

// The nearest whole number; of NaN and what is WIDEST or larger another one that is not below WIDEST in magnitude.
int32_t whole(float x) { return int32_t(uint32_t(bits_of(x + ROUNDING<float>)) - uint32_t(bits_of(ROUNDING<float>))); }
int32_t whole(double x) { return whole(float((x + ROUNDING<double>) - ROUNDING<double>)); }

bool exceeds(int32_t x, int32_t largest) { return uint32_t(x + largest) > uint32_t(2 * largest); }

int category(int32_t x, int largest) {
    const int magnitude = x < 0 ? -x : x;
    return x ? 32 - __builtin_clz(unsigned(magnitude < largest ? magnitude : largest)) : 0;
}

// Of what is not zero when rounded: by its exponent, which takes less time.
int category_of(float x) { return (bits_of((x + ROUNDING<float>) - ROUNDING<float>) >> 23 & 255) - 126; }
int category_of(double x) { return category_of(float((x + ROUNDING<double>) - ROUNDING<double>)); }

template <class V>
V magnitude(V x) {
    return at_least(V(0) - x, x);
}

// A bit per coefficient of a block, in their natural order, without DC: those for which a test of vectors says so.
template <class T, class Test>
uint64_t ac_where(const T* block, Test test) {
    typedef Vec<T> V;
    uint64_t found = 0;
    for (int i = 0; i < 64; i += V::lanes) found |= uint64_t(test(V::load(block + i))) << i;
    return found & ~uint64_t(1);
}

// A block as a file has it.
template <class T>
struct Stored {
    const T* block;
    uint64_t places;  // of AC coefficients that are not zero when rounded
    int32_t dc;
    bool fits;  // whether baseline can store AC, and DC can be counted

    explicit Stored(const T* block) : block(block), dc(whole(block[0])) {
        typedef Vec<T> V;
        // Squares have no sign. A half is rounded to zero, LARGEST_AC and a half to what is too large.
        const V half(T(0.25)), beyond(T((LARGEST_AC + 0.5) * (LARGEST_AC + 0.5)));
        auto within = V(T(0)) < V(T(1));
        uint64_t stored = 0;
        for (int i = 0; i < 64; i += V::lanes) {
            V x = V::load(block + i);
            if (i == 0) x = select(Mask<T, V::lanes>::of_bits(1), V(T(0)), x);
            __builtin_prefetch(block + AHEAD + i);
            const V square = x * x;
            stored |= uint64_t((half < square).bits()) << i;
            within = within & (square < beyond);
        }
        fits = within.bits() == (1 << V::lanes) - 1 && !exceeds(dc, WIDEST - 1);
        places = in_order(stored);
    }

    int category_at(int place) const { return category_of(block[ZIGZAG.natural[place]]); }
};

// --- counts ---------------------------------------------------------------------------------------------------------

template <class T>
void count_ac(const Stored<T>& stored, int64_t* counts) {
    unsigned before = 0, sixteens = 0;
    for (uint64_t rest = stored.places; rest; rest &= rest - 1) {
        const unsigned place = first_of(rest), run = place - before - 1;
        sixteens += run / 16;
        ++counts[run % 16 * 16 + stored.category_at(place)];
        before = place;
    }
    counts[SIXTEEN_ZEROS] += sixteens;
    counts[END_OF_BLOCK] += before != 63;
}

template <class T>
bool count_of(const Scan& scan, int64_t sample) {
    bool fit = true;
    for (int component = 0; component < scan.components; ++component) {
        const int64_t size = scan.rows[component > 0] * scan.columns[component > 0] * 64;
        const T* const blocks = static_cast<const T*>(scan.blocks[component]) + sample * size;
        int64_t* const of_dc = scan.counts + (2 * sample * (scan.components > 1 ? 2 : 1) + 2 * (component > 0)) * SYMBOLS;
        int64_t* const of_ac = of_dc + SYMBOLS;
        int32_t before = 0;
        for_blocks(scan, component, [&](int64_t index) {
            const Stored<T> stored(blocks + 64 * index);
            const int32_t difference = stored.dc - before;
            fit &= stored.fits && !exceeds(difference, LARGEST_DC);
            if (!fit) return;
            before = stored.dc;
            ++of_dc[category(difference, LARGEST_DC)];
            count_ac(stored, of_ac);
        });
        if (component == 0) {
            // They repeat the DC coefficient before them.
            of_dc[0] += dummies_of(scan);
            of_ac[END_OF_BLOCK] += dummies_of(scan);
        }
    }
    return fit;
}

// --- the VJP --------------------------------------------------------------------------------------------------------

// A coefficient between the whole numbers next to it; a whole one has those next to itself.
struct Place {
    int32_t below, above;
    double factor;  // of the difference of bits between both; zero far from a tie

    template <class T>
    Place(T x, int32_t nearest) {
        const int32_t down = T(nearest) > x ? nearest - 1 : nearest;
        const T from_tie = x - T(down) - T(0.5);
        const bool is_whole = x == T(nearest), is_near = from_tie >= -T(NEAR) && from_tie <= T(NEAR);
        above = down + 1;
        below = is_whole ? down - 1 : down;
        factor = is_whole ? 0.5 : is_near ? 0.5 / NEAR : 0.0;
    }
};

// AC coefficients whose derivative may be other than zero: near a tie, or whole. But not zero, since bits depend on
// magnitudes.
template <class T>
uint64_t active_of(const T* block) {
    typedef Vec<T> V;
    return ac_where(block, [](V x) {
        const V nearest = (x + V(ROUNDING<T>)) - V(ROUNDING<T>), down = select(x < nearest, nearest - V(1), nearest);
        const V from_tie = magnitude(x - down - V(T(0.5)));
        return (from_tie <= V(T(NEAR))).bits() | ((x <= down) & (V(T(0.5)) < magnitude(x))).bits();
    });
}

// The derivative at one of those.
template <class T>
double ac_slope(const Stored<T>& stored, int place, T x, const int32_t* costs) {
    const uint64_t own = uint64_t(1) << place, earlier = stored.places & (own - 1), later = stored.places & ~(2 * own - 1);
    const int run = place - 1 - last_of(earlier | 1);  // DC, if there is no other
    int rest = END_OF_BLOCK, rest_without = END_OF_BLOCK;  // indices of what follows
    if (later) {
        const int next = first_of(later), symbol = stored.category_at(next);
        rest = 16 * (next - place - 1) + symbol;
        rest_without = 16 * (run + next - place) + symbol;
    }
    const int32_t rest_bits = place == 63 ? 0 : costs[rest];
    const T size = x < 0 ? -x : x;
    const int down = int(size), is_whole = size == T(down), below = down - is_whole, above = down + 1;
    const int32_t bits_below = costs[16 * run + category(below, LARGEST_AC)] + rest_bits;
    const int32_t bits_above = costs[16 * run + category(above, LARGEST_AC)] + rest_bits;
    const int32_t difference = bits_above - (below ? bits_below : costs[rest_without]);
    return (x < 0 ? -difference : difference) * (is_whole ? 0.5 : 0.5 / NEAR);
}

template <class T>
void ac_slopes(const Stored<T>& stored, const int32_t* costs, double cotangent, T* g) {
    const T none = T(0 * cotangent);  // not zero where the cotangent is not finite
    for (int i = 0; i < 64; ++i) g[i] = none;
    for (uint64_t rest = active_of(stored.block); rest; rest &= rest - 1) {
        const int i = first_of(rest);
        g[i] = T(ac_slope(stored, ZIGZAG.place[i], stored.block[i], costs) * cotangent);
    }
}

template <class T>
bool vjp_of(const Scan& scan, int64_t sample) {
    bool fit = true;
    for (int component = 0; component < scan.components; ++component) {
        const int64_t size = scan.rows[component > 0] * scan.columns[component > 0] * 64;
        const T* const blocks = static_cast<const T*>(scan.blocks[component]) + sample * size;
        T* const g = static_cast<T*>(scan.g_blocks[component]) + sample * size;
        const int32_t* const of_ac = scan.costs + sample * scan.costs_stride + (component > 0) * COSTS;
        const int32_t* const of_dc = of_ac + AC_COSTS;
        const double cotangent = scan.cotangent[sample];
        const auto bits = [&](int32_t difference) { return of_dc[category(difference, LARGEST_DC)]; };
        // Of the block before: its DC, and where that one's cotangent goes.
        Place last(T(0), 0);
        int32_t before = 0;
        T* g_before = nullptr;
        double so_far = 0;
        for_blocks(scan, component, [&](int64_t index) {
            const Stored<T> stored(blocks + 64 * index);
            fit &= stored.fits && !exceeds(stored.dc - before, LARGEST_DC);
            if (!fit) return;
            // Both differences in which a DC coefficient is: its own, and that of the block after it.
            if (g_before) {
                so_far += (bits(stored.dc - last.above) - bits(stored.dc - last.below)) * last.factor;
                *g_before = T(so_far * cotangent);
            }
            ac_slopes(stored, of_ac, cotangent, g + 64 * index);
            last = Place(stored.block[0], stored.dc);
            so_far = (bits(last.above - before) - bits(last.below - before)) * last.factor;
            g_before = g + 64 * index;
            *g_before = T(so_far * cotangent);
            before = stored.dc;
        });
    }
    return fit;
}

// --- samples --------------------------------------------------------------------------------------------------------

bool count(const Scan& scan, int64_t first, int64_t last) {
    bool fit = true;
    for (int64_t sample = first; sample < last; ++sample)
        fit &= scan.is_double ? count_of<double>(scan, sample) : count_of<float>(scan, sample);
    return fit;
}

bool count_vjp(const Scan& scan, int64_t first, int64_t last) {
    bool fit = true;
    for (int64_t sample = first; sample < last; ++sample)
        fit &= scan.is_double ? vjp_of<double>(scan, sample) : vjp_of<float>(scan, sample);
    return fit;
}

}  // namespace
