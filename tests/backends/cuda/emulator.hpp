// CUDA's model of execution on a CPU: every thread of a thread block in turn, from barrier to barrier.
//
// With -DTHREADS_OF_THE_SYSTEM each is a thread of the operating system, for sanitizers that look for races.

#include <cmath>
#include <cstddef>
#include <tuple>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(...)

using std::cos;
using std::floor;
using std::fmax;
using std::fmin;
using std::rint;
using std::sin;
using std::tanh;

struct Index {
    unsigned x;
};

#ifdef THREADS_OF_THE_SYSTEM

#include <barrier>
#include <thread>

static thread_local Index threadIdx, blockIdx;
static std::barrier<>* barrier;

static void __syncthreads() { barrier->arrive_and_wait(); }

template <typename Body>
static int run_block(unsigned block, int threads, int, Body body) {
    std::barrier<> own(threads);
    barrier = &own;
    std::vector<std::thread> running;
    for (int i = 0; i < threads; ++i)
        running.emplace_back([=] {
            threadIdx.x = i;
            blockIdx.x = block;
            body();
            barrier->arrive_and_drop();
        });
    for (auto& thread : running) thread.join();
    return 0;
}

#else

#include <ucontext.h>

static Index threadIdx, blockIdx;

struct Fiber {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(1 << 16);
    bool finished;
};
static std::vector<Fiber> fibers;
static ucontext_t scheduler;
static Fiber* current;
static void (*entry)(void*);
static void* entry_argument;

static void __syncthreads() { swapcontext(&current->context, &scheduler); }

static void fiber_main() {
    entry(entry_argument);
    current->finished = true;
}

// Threads go in ascending or descending order: where no barrier is missing, it makes no difference. Nonzero if some
// waited at a barrier that others never reached.
template <typename Body>
static int run_block(unsigned block, int threads, int descending, Body body) {
    if (fibers.size() < std::size_t(threads)) fibers = std::vector<Fiber>(threads);
    entry = [](void* argument) { (*static_cast<Body*>(argument))(); };
    entry_argument = &body;
    blockIdx.x = block;
    for (int i = 0; i < threads; ++i) {
        Fiber& fiber = fibers[i];
        fiber.finished = false;
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        fiber.context.uc_link = &scheduler;
        makecontext(&fiber.context, fiber_main, 0);
    }
    for (int finished = 0; finished < threads;) {
        finished = 0;
        for (int i = 0; i < threads; ++i) {
            threadIdx.x = descending ? threads - 1 - i : i;
            current = &fibers[threadIdx.x];
            swapcontext(&scheduler, &current->context);
            finished += current->finished;
        }
        if (finished != 0 && finished != threads) return 1;
    }
    return 0;
}

#endif

template <typename... Parameters, std::size_t... I>
static int run(
    void (*kernel)(Parameters...), int blocks, int threads, int descending, void** arguments,
    std::index_sequence<I...>) {
    const auto body = [=] { kernel(*static_cast<Parameters*>(arguments[I])...); };
    for (int block = 0; block < blocks; ++block)
        if (run_block(descending ? blocks - 1 - block : block, threads, descending, body)) return 1;
    return 0;
}

template <typename... Parameters>
static int run(void (*kernel)(Parameters...), int blocks, int threads, int descending, void** arguments) {
    return run(kernel, blocks, threads, descending, arguments, std::index_sequence_for<Parameters...>());
}

#define LAUNCHER(kernel)                                                                        \
    extern "C" int launch_##kernel(int blocks, int threads, int descending, void** arguments) { \
        return threads == THREADS ? run(kernel, blocks, threads, descending, arguments) : 2;    \
    }
