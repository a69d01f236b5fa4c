// The kernels of one instruction set: this file is compiled once for each, with INSTRUCTION_SET defined as its name.
//
// All they include has internal linkage and nothing of the standard library's templates. So the linker cannot take the
// code of one instruction set for another.

#include "kernels.hpp"

#include "backward.hpp"
#include "entropy.hpp"
#include "forward.hpp"

namespace {

// Calls `work` for each strip; also given: whether it is the first, or the last, of those of its sample.
template <class Work>
void each_strip(const Call& call, int64_t first, int64_t last, const Work& work) {
    const int64_t strips = Shape(call).strips;
    for (int64_t index = first; index < last; ++index) {
        const int64_t strip = index % strips;
        work(index / strips, strip, index == first || strip == 0, index == last - 1 || strip == strips - 1);
    }
}

template <class T, int ARITHMETIC>
void forward_in(const Call& call, int64_t first, int64_t last, void* scratch) {
    Forward<T, ARITHMETIC> forward(call, scratch);
    each_strip(call, first, last, [&](int64_t sample, int64_t strip, bool is_first, bool is_last) {
        forward.run(sample, strip, is_first, is_last);
    });
}

// With color, the way back to RGB is computed again, for its samples are no residuals: strip by strip, so that what is
// read twice is still in the cache.
template <class T, int ARITHMETIC>
void vjp_with_color(const Call& call, int64_t first, int64_t last, void* scratch) {
    Call again = call;
    again.sink = TO_COLOR_SUMS;
    if (call.source == FROM_IMAGE) again.source = FROM_U;
    Forward<T, ARITHMETIC> forward(again, static_cast<char*>(scratch) + scratch_size(call));
    Backward<T> backward(call, scratch);
    each_strip(call, first, last, [&](int64_t sample, int64_t strip, bool is_first, bool is_last) {
        forward.run(sample, strip, is_first, is_last);
        backward.run(sample, strip, is_first);
    });
}

template <class T>
void vjp_without_color(const Call& call, int64_t first, int64_t last, void* scratch) {
    Backward<T> backward(call, scratch);
    each_strip(call, first, last, [&](int64_t sample, int64_t strip, bool is_first, bool) {
        backward.run(sample, strip, is_first);
    });
}

template <class T>
void forward_of(const Call& call, int64_t first, int64_t last, void* scratch) {
    if (call.arithmetic == SMOOTH)
        forward_in<T, SMOOTH>(call, first, last, scratch);
    else if (call.arithmetic == STE)
        forward_in<T, STE>(call, first, last, scratch);
    else
        forward_in<T, LIBJPEG>(call, first, last, scratch);
}

template <class T>
void vjp_of(const Call& call, int64_t first, int64_t last, void* scratch) {
    if (!call.needs_color || call.sink != TO_IMAGE)
        vjp_without_color<T>(call, first, last, scratch);
    else if (call.arithmetic == SMOOTH)
        vjp_with_color<T, SMOOTH>(call, first, last, scratch);
    else if (call.arithmetic == STE)
        vjp_with_color<T, STE>(call, first, last, scratch);
    else
        vjp_with_color<T, LIBJPEG>(call, first, last, scratch);
}

void forward(const Call& call, int64_t first, int64_t last, void* scratch) {
    call.is_double ? forward_of<double>(call, first, last, scratch) : forward_of<float>(call, first, last, scratch);
}
void vjp(const Call& call, int64_t first, int64_t last, void* scratch) {
    call.is_double ? vjp_of<double>(call, first, last, scratch) : vjp_of<float>(call, first, last, scratch);
}

}  // namespace

#define JOINED(a, b) a##b
#define TABLE(name) JOINED(pyjpegdiff_kernels_, name)
extern "C" __attribute__((visibility("hidden"))) const Kernels TABLE(INSTRUCTION_SET);
extern "C" const Kernels TABLE(INSTRUCTION_SET) = {forward, vjp, count, count_vjp};
