// What formulas ask of a number type: float, double, or a vector of either, whose operators work lane by lane.
//
// Whoever includes a formula has its number types first: they have `floor`, `rint` and, where a formula asks for more
// than arithmetic, the functions below. Constants are `inline`, lest compilers complain of those that a kernel leaves
// unused, and double: who uses one says as which type.

#pragma once

#if defined(__CUDACC__)
#define FORMULA __device__ inline
// Of a loop whose constants are then computed by the compiler.
#define UNROLLED _Pragma("unroll")
#else
#define FORMULA static inline __attribute__((always_inline))
#define UNROLLED
#endif

// The type of one number of a vector.
template <class V>
struct Real {
    typedef typename V::Number type;
};
template <>
struct Real<float> {
    typedef float type;
};
template <>
struct Real<double> {
    typedef double type;
};

FORMULA float select(bool condition, float a, float b) { return condition ? a : b; }
FORMULA double select(bool condition, double a, double b) { return condition ? a : b; }

// The bound where x is beyond it; x where it is not a number.
FORMULA float at_least(float bound, float x) { return x < bound ? bound : x; }
FORMULA double at_least(double bound, double x) { return x < bound ? bound : x; }
FORMULA float at_most(float bound, float x) { return x > bound ? bound : x; }
FORMULA double at_most(double bound, double x) { return x > bound ? bound : x; }
