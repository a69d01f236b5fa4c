// Handlers through which XLA calls the kernels. Arrays, operands, sums and scratch memory are XLA's.
//
// Attributes: `call`, the struct without any array, of one sample; `buffers`, of each argument and each result where its
// address belongs in the struct, in bytes, and its bytes per sample. Samples are all leading axes of a buffer together.

#include "xla.hpp"

#include <stdlib.h>
#include <string.h>
#include <thread>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "exports.hpp"

namespace {

using Kernel = void (*)(const Call*, int64_t, int64_t, void*);

constexpr int64_t SCRATCH = -1;  // where the address of scratch memory belongs
constexpr int64_t ALIGNMENT = 64;
constexpr int64_t THREADED_AREA = 1 << 18;  // pixels that are worth threads
constexpr int64_t PARTS = 4;                // of the work, for each thread

constexpr int64_t LARGE = 16 << 20;         // bytes that are worth huge pages

int64_t aligned(int64_t n) { return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

struct Work {
    Call call;
    Kernel kernel;
    int64_t strips;
    char* scratch;  // of all threads
    int64_t scratch_size;
};

// What threads know of each other. A thread may come when all is done and the work is gone, so this outlives it.
struct Team {
    const Work* work;
    int64_t parts, users;
    int64_t joined, taken, done;  // threads, and parts

    void leave() {
        if (!__atomic_sub_fetch(&users, 1, __ATOMIC_ACQ_REL)) free(this);
    }
    void take_parts() {
        int64_t part = __atomic_fetch_add(&taken, 1, __ATOMIC_ACQUIRE);
        if (part >= parts) return;
        void* const scratch = work->scratch + __atomic_fetch_add(&joined, 1, __ATOMIC_RELAXED) * work->scratch_size;
        do {
            work->kernel(&work->call, work->strips * part / parts, work->strips * (part + 1) / parts, scratch);
            __atomic_add_fetch(&done, 1, __ATOMIC_RELEASE);
            part = __atomic_fetch_add(&taken, 1, __ATOMIC_ACQUIRE);
        } while (part < parts);
    }
};

void help(void* team) {
    static_cast<Team*>(team)->take_parts();
    static_cast<Team*>(team)->leave();
}

// Whether there was none.
bool passed(const xla::Api* api, xla::Error* error) {
    xla::DestroyError destroy = {{sizeof(destroy), nullptr}, error};
    if (error) api->destroy_error(&destroy);
    return !error;
}

int64_t threads_of(const xla::Frame* frame, const Work& work) {
    if (work.call.samples * work.call.height * work.call.width < THREADED_AREA) return 1;
    int64_t threads = 1;
    xla::CountThreads count = {{sizeof(count), nullptr}, frame->context, &threads};
    return passed(frame->api, frame->api->count_threads(&count)) ? threads : 1;
}

// All strips. XLA's threads help, and nobody waits for one that has not begun: it might be waiting for this one.
void run(const xla::Frame* frame, const Work& work, int64_t most) {
    int64_t threads = threads_of(frame, work);
    if (threads > most) threads = most;
    if (threads > work.strips) threads = work.strips;
    Team* const team = threads > 1 ? static_cast<Team*>(malloc(sizeof(Team))) : nullptr;
    if (!team) return work.kernel(&work.call, 0, work.strips, work.scratch);
    const int64_t parts = PARTS * threads < work.strips ? PARTS * threads : work.strips;
    *team = {&work, parts, threads, 0, 0, 0};
    for (int64_t thread = 1; thread < threads; ++thread) {
        xla::Schedule schedule = {{sizeof(schedule), nullptr}, frame->context, help, team};
        if (!passed(frame->api, frame->api->schedule(&schedule))) team->leave();
    }
    team->take_parts();
    while (__atomic_load_n(&team->done, __ATOMIC_ACQUIRE) < parts) std::this_thread::yield();
    team->leave();
}

xla::Error* refuse(const xla::Api* api, const char* message) {
    xla::ErrorText text = {{sizeof(text), nullptr}, message, xla::INVALID_ARGUMENT};
    return api->create_error(&text);
}

bool is_known(const xla::Api* api) { return KNOWS(api, version) && api->version.major == 0 && KNOWS(api, count_threads); }

// An attribute of whole numbers; null: there is none.
const xla::Numbers* numbers(const xla::Attributes& attributes, const char* name) {
    for (int64_t i = 0; i < attributes.count; ++i) {
        const xla::Text& found = *attributes.names[i];
        if (found.length != strlen(name) || memcmp(found.first, name, found.length)) continue;
        const xla::Numbers* const values = attributes.values[i];
        return attributes.types[i] == xla::ARRAY && values->dtype == xla::S64 ? values : nullptr;
    }
    return nullptr;
}

constexpr int64_t bytes_of_number(int dtype) {
    switch (dtype) {
        case 1: case 2: case 6: return 1;             // bool, int8, uint8
        case 3: case 7: case 10: case 16: return 2;   // int16, uint16, float16, bfloat16
        case 4: case 8: case 11: return 4;            // int32, uint32, float32
        case 5: case 9: case 12: return 8;            // int64, uint64, float64
    }
    return 0;
}

int64_t bytes_of(const xla::Buffer& buffer) {
    int64_t bytes = bytes_of_number(buffer.dtype);
    for (int64_t axis = 0; axis < buffer.rank; ++axis) bytes *= buffer.lengths[axis];
    return bytes;
}

// XLA takes large arrays from the system at every call. Small pages, each zeroed when it is first written to, would cost
// several times as long as what is written.
void have_huge_pages(void* data, int64_t bytes) {
#if defined(__linux__)
    constexpr intptr_t PAGE = 2 << 20;
    const intptr_t first = (reinterpret_cast<intptr_t>(data) + PAGE - 1) & -PAGE;
    const intptr_t last = (reinterpret_cast<intptr_t>(data) + bytes) & -PAGE;
    if (bytes >= LARGE) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#else
    (void)data, (void)bytes;
#endif
}

// The version that XLA is told of; none that it accepts where its structs are not known here.
void describe(const xla::Frame* frame, xla::Metadata* metadata) {
    if (!KNOWS(metadata, traits)) return;
    metadata->version = {{sizeof(xla::Version), nullptr}, frame->api && is_known(frame->api) ? 0 : -1, 3};
    metadata->traits = 0;
}

xla::Error* handle(xla::Frame* frame, Kernel kernel) {
    const auto* const extension = static_cast<const xla::Extension*>(frame->extensions);
    if (extension && extension->type == xla::METADATA) {
        describe(frame, extension->metadata);
        return nullptr;
    }
    const xla::Api* const api = frame->api;
    // XLA calls no handler that was told of another version.
    if (!KNOWS(frame, attributes)) return refuse(api, "pyjpegdiff: XLA is of another version");
    if (frame->stage != xla::EXECUTE) return nullptr;
    const xla::Numbers *const call = numbers(frame->attributes, "call"),
                       *const places = numbers(frame->attributes, "buffers");
    const int64_t count = frame->arguments.count, total = count + frame->results.count;
    if (!call || call->count * 8 != sizeof(Call) || !places || int64_t(places->count) != 2 * total)
        return refuse(api, "pyjpegdiff: attributes are of another version");

    Call filled;
    memcpy(&filled, call->data, sizeof(Call));
    char* scratch = nullptr;
    int64_t scratch_bytes = 0, samples = -1;
    for (int64_t i = 0; i < total; ++i) {
        const xla::Buffer& buffer = i < count ? *frame->arguments.buffers[i] : *frame->results.buffers[i - count];
        const int64_t *const place = static_cast<const int64_t*>(places->data) + 2 * i, bytes = bytes_of(buffer);
        if (samples < 0 && place[1] > 0) samples = bytes / place[1];
        if (place[1] <= 0 || bytes != samples * place[1]) return refuse(api, "pyjpegdiff: buffers differ in samples");
        if (i >= count) have_huge_pages(buffer.data, bytes);
        if (place[0] == SCRATCH)
            scratch = static_cast<char*>(buffer.data), scratch_bytes = bytes;
        else if (place[0] >= 0 && place[0] + int64_t(sizeof(void*)) <= int64_t(sizeof(Call)))
            memcpy(reinterpret_cast<char*>(&filled) + place[0], &buffer.data, sizeof(void*));
        else
            return refuse(api, "pyjpegdiff: a buffer has no place");
    }
    if (samples < 1) return nullptr;
    filled.samples = samples;
    const int64_t before = -reinterpret_cast<intptr_t>(scratch) & (ALIGNMENT - 1);
    const int64_t size = aligned(pyjpegdiff_scratch_size(&filled));
    const int64_t most = (scratch_bytes - before) / size;
    if (!scratch || most < 1) return refuse(api, "pyjpegdiff: too little scratch memory");
    const Work work = {filled, kernel, samples * pyjpegdiff_strips(&filled), scratch + before, size};
    pyjpegdiff_prepare(&work.call);
    run(frame, work, most);
    if (work.call.g_parameters) pyjpegdiff_finish(&work.call);
    return nullptr;
}

}  // namespace

void* pyjpegdiff_xla_forward(void* frame) { return handle(static_cast<xla::Frame*>(frame), pyjpegdiff_forward); }
void* pyjpegdiff_xla_vjp(void* frame) { return handle(static_cast<xla::Frame*>(frame), pyjpegdiff_vjp); }
int64_t pyjpegdiff_xla_scratch_size(const Call* call, int64_t threads) {
    return ALIGNMENT + threads * aligned(pyjpegdiff_scratch_size(call));
}
