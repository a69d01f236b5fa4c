// What each instruction set has of its own.

#pragma once

#include "call.hpp"
#include "scan.hpp"

struct Kernels {
    void (*forward)(const Call&, int64_t first, int64_t last, void* scratch);
    void (*vjp)(const Call&, int64_t first, int64_t last, void* scratch);
    bool (*count)(const Scan&, int64_t first, int64_t last);
    bool (*count_vjp)(const Scan&, int64_t first, int64_t last);
};
