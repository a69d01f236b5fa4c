// Sums over pixels of a map's cotangents times what it was applied to: the cotangent of its matrix, and of its shift.

#pragma once

#include "simd.hpp"

namespace {

template <class T>
struct Products {
    typedef Vec<T> V;
    V products[9], totals[3];

    Products() { clear(); }
    void clear() {
        for (auto& product : products) product = T(0);
        for (auto& total : totals) total = T(0);
    }

    // As many pixels as there are lanes, of which `left` exist.
    METHOD void add(const V (&cotangents)[3], const V (&inputs)[3], int left) {
        V g[3], x[3];
        for (int c = 0; c < 3; ++c) g[c] = cotangents[c], x[c] = inputs[c];
        if (left < V::lanes) {
            const auto exists = first_lanes<T>(left);
            for (int c = 0; c < 3; ++c) g[c] = select(exists, g[c], V(T(0))), x[c] = select(exists, x[c], V(T(0)));
        }
        for (int c = 0; c < 3; ++c) {
            totals[c] = totals[c] + g[c];
            for (int d = 0; d < 3; ++d) products[3 * c + d] = products[3 * c + d] + g[c] * x[d];
        }
    }

    void store(T (&matrix)[9], T (&shift)[3]) const {
        for (int i = 0; i < 9; ++i) matrix[i] = sum_of(products[i]);
        for (int i = 0; i < 3; ++i) shift[i] = sum_of(totals[i]);
    }
};

}  // namespace
