// What each instruction set has of its own.

#pragma once

#include "call.hpp"

struct Kernels {
    void (*forward)(const Call&, int64_t first, int64_t last, void* scratch);
    void (*vjp)(const Call&, int64_t first, int64_t last, void* scratch);
};
