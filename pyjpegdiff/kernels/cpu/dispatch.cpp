// Which instruction sets this processor has, and the functions of the library.

#include "exports.hpp"
#include "kernels.hpp"

extern "C" {
extern const Kernels pyjpegdiff_kernels_baseline;
#if defined(HAVE_AVX2)
extern const Kernels pyjpegdiff_kernels_avx2;
#endif
#if defined(HAVE_AVX512)
extern const Kernels pyjpegdiff_kernels_avx512;
#endif
}

#if defined(HAVE_AVX2) || defined(HAVE_AVX512)
#include <cpuid.h>

static uint64_t enabled_by_system() {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low | uint64_t(high) << 32;
}

static bool has(uint32_t word, uint32_t bits) { return (word & bits) == bits; }

struct Found {
    bool avx2, avx512;
};

static Found look() {
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, 1u << 27 | 1u << 28 | 1u << 12 | 1u << 29)) return {};
    const uint64_t enabled = enabled_by_system();
    if ((enabled & 6) != 6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return {};
    const bool avx2 = has(b, 1u << 5);
    return {avx2, avx2 && (enabled & 0xe6) == 0xe6 && has(b, 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31)};
}
#else
struct Found {
    bool avx2, avx512;
};
static Found look() { return {}; }
#endif

namespace {

struct Choice {
    const Kernels* tables[3];
    const char* names;
    const Kernels* chosen;

    Choice() {
        const Found found = look();
        int count = 0;
        names = "baseline";
#if defined(HAVE_AVX512)
        if (found.avx512) tables[count++] = &pyjpegdiff_kernels_avx512;
#endif
#if defined(HAVE_AVX2)
        if (found.avx2) tables[count++] = &pyjpegdiff_kernels_avx2;
#endif
        if (found.avx2) names = count == 2 ? "avx512 avx2 baseline" : "avx2 baseline";
        tables[count] = &pyjpegdiff_kernels_baseline;
        chosen = tables[0];
    }
};

Choice choice;

}  // namespace

int64_t pyjpegdiff_call_size() { return sizeof(Call); }
const char* pyjpegdiff_instruction_sets() { return choice.names; }
void pyjpegdiff_use(int64_t index) { choice.chosen = choice.tables[index]; }
void pyjpegdiff_forward(const Call* call, int64_t first, int64_t last, void* scratch) {
    choice.chosen->forward(*call, first, last, scratch);
}
void pyjpegdiff_vjp(const Call* call, int64_t first, int64_t last, void* scratch) {
    choice.chosen->vjp(*call, first, last, scratch);
}

int64_t pyjpegdiff_scan_size() { return sizeof(Scan); }
int64_t pyjpegdiff_count(const Scan* scan, int64_t first, int64_t last) {
    return choice.chosen->count(*scan, first, last);
}
int64_t pyjpegdiff_count_vjp(const Scan* scan, int64_t first, int64_t last) {
    return choice.chosen->count_vjp(*scan, first, last);
}
