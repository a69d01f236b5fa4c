// The functions of the library. None throws or keeps anything; all but `use` may run in many threads. Only those that
// XLA calls allocate.

#pragma once

#include "call.hpp"
#include "scan.hpp"

#if defined(_WIN32)
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

// Names of the instruction sets that this processor has, best first, separated by spaces.
EXPORT const char* pyjpegdiff_instruction_sets();
// Take one of them, by its index among those; the first is taken at load.
EXPORT void pyjpegdiff_use(int64_t index);

// Bytes of a `Call`: whoever has another number was made for another version.
EXPORT int64_t pyjpegdiff_call_size();

// Bytes of one `Operands`, one `Sums`, and of the scratch memory that each thread of a call needs.
EXPORT int64_t pyjpegdiff_operands_size(const Call*);
EXPORT int64_t pyjpegdiff_sums_size(const Call*);
EXPORT int64_t pyjpegdiff_scratch_size(const Call*);
// Strips of one sample. Those of a call are numbered through, sample by sample.
EXPORT int64_t pyjpegdiff_strips(const Call*);

// Fill `operands` from the parameters, and `sums` with zeros.
EXPORT void pyjpegdiff_prepare(const Call*);
// Strips first..last - 1, with scratch memory aligned to 64 bytes.
EXPORT void pyjpegdiff_forward(const Call*, int64_t first, int64_t last, void* scratch);
EXPORT void pyjpegdiff_vjp(const Call*, int64_t first, int64_t last, void* scratch);
// From all sums, and of encode the cotangents of its own steps, to those cotangents of parameters that are needed.
EXPORT void pyjpegdiff_finish(const Call*);

// Bytes of a `Scan`.
EXPORT int64_t pyjpegdiff_scan_size();
// Add up how often each symbol of samples first..last - 1 occurs; compute the cotangents of their coefficients. They
// return whether those are what baseline can store and DC lies below 2^22; else what was written means nothing.
EXPORT int64_t pyjpegdiff_count(const Scan*, int64_t first, int64_t last);
EXPORT int64_t pyjpegdiff_count_vjp(const Scan*, int64_t first, int64_t last);

// Handlers that XLA calls with its frame of a call; they return its error or null. See xla.cpp.
EXPORT void* pyjpegdiff_xla_forward(void* frame);
EXPORT void* pyjpegdiff_xla_vjp(void* frame);
// Bytes of scratch memory of such a call that several threads share.
EXPORT int64_t pyjpegdiff_xla_scratch_size(const Call*, int64_t threads);
