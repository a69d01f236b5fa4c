// The kernels of one instruction set: this file is compiled once for each, with INSTRUCTION_SET defined as its name.
//
// All they include has internal linkage and nothing of the standard library's templates. So the linker cannot take the
// code of one instruction set for another.

#include "kernels.hpp"

#include "backward.hpp"
#include "forward.hpp"

namespace {

template <class T, int ARITHMETIC>
void run_forward(const Call& call, int64_t first, int64_t last, void* scratch) {
    Forward<T, ARITHMETIC>(call, scratch).run(first, last);
}

template <class T>
void forward_of(const Call& call, int64_t first, int64_t last, void* scratch) {
    if (call.arithmetic == SMOOTH)
        run_forward<T, SMOOTH>(call, first, last, scratch);
    else if (call.arithmetic == STE)
        run_forward<T, STE>(call, first, last, scratch);
    else
        run_forward<T, LIBJPEG>(call, first, last, scratch);
}

void forward(const Call& call, int64_t first, int64_t last, void* scratch) {
    if (call.is_double)
        forward_of<double>(call, first, last, scratch);
    else
        forward_of<float>(call, first, last, scratch);
}

void vjp(const Call& call, int64_t first, int64_t last, void* scratch) {
    if (call.is_double)
        Backward<double>(call, scratch).run(first, last);
    else
        Backward<float>(call, scratch).run(first, last);
}

}  // namespace

#define JOINED(a, b) a##b
#define TABLE(name) JOINED(pyjpegdiff_kernels_, name)
extern "C" __attribute__((visibility("hidden"))) const Kernels TABLE(INSTRUCTION_SET);
extern "C" const Kernels TABLE(INSTRUCTION_SET) = {forward, vjp};
