// What runs the kernels: see include/cuda_runtime.h.

#include <cuda_runtime.h>
#include <link.h>
#include <setjmp.h>
#include <ucontext.h>

#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace cuda_on_host {
namespace {

constexpr int kWarp = 32;
constexpr int kMostThreads = 1024;
constexpr size_t kStackBytes = 1 << 17;

enum class State { kReady, kAtBlock, kAtWarp, kEnded };

// Begun by makecontext, then entered and left by _longjmp, which asks nothing of the kernel.
struct Fiber {
  jmp_buf place;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  State state = State::kEnded;
  bool begun = false;
};

// The meeting of a warp. Values are kept twice, because a lane may be at the next meeting while
// another has yet to read those of this one.
struct Warp {
  uint64_t values[2][kWarp];
  int turn = 0;
  int arrived = 0;
  const char* what = nullptr;
};

jmp_buf scheduler;
std::vector<std::unique_ptr<Fiber>> fibers;
std::vector<Warp> warps;
int current = 0;
int at_block = 0;
const std::function<void()>* body = nullptr;
std::mt19937 random_numbers;
std::string sentence;
bool failed = false;

Fiber& self() {
  return *fibers[current];
}

void leave(State state) {
  self().state = state;
  if (_setjmp(self().place) == 0) {
    _longjmp(scheduler, 1);
  }
}

// A fiber that has ended goes on with the same thread of the next block.
void run_fiber() {
  while (true) {
    (*body)();
    leave(State::kEnded);
  }
}

// Runs the fiber until it leaves. A function of its own: what calls _setjmp may return twice.
__attribute__((noinline)) void enter(Fiber& fiber) {
  if (_setjmp(scheduler) != 0) {
    return;
  }
  if (fiber.begun) {
    _longjmp(fiber.place, 1);
  }
  fiber.begun = true;
  ucontext_t context;
  getcontext(&context);
  context.uc_stack.ss_sp = fiber.stack.get();
  context.uc_stack.ss_size = kStackBytes;
  makecontext(&context, run_fiber, 0);
  setcontext(&context);
}

int threads() {
  return static_cast<int>(blockDim.x);
}

void run_block() {
  while (fibers.size() < static_cast<size_t>(threads())) {
    fibers.push_back(std::make_unique<Fiber>());
  }
  warps.assign(threads() / kWarp, Warp());
  at_block = 0;
  std::vector<int> order(threads());
  std::iota(order.begin(), order.end(), 0);
  for (const int thread : order) {
    // One that a broken rule left behind begins anew.
    fibers[thread]->begun = fibers[thread]->begun && fibers[thread]->state == State::kEnded;
    fibers[thread]->state = State::kReady;
  }
  // Some warps are slow, and fall behind wherever no barrier holds the others.
  std::vector<char> slow(warps.size());
  for (char& one : slow) {
    one = random_numbers() % 2 == 0;
  }
  std::vector<char> waits(warps.size());
  for (bool any = true; any && !failed;) {
    any = false;
    std::shuffle(order.begin(), order.end(), random_numbers);
    for (size_t warp = 0; warp < warps.size(); ++warp) {
      waits[warp] = slow[warp] && random_numbers() % 8 != 0;
    }
    for (const int thread : order) {
      if (fibers[thread]->state != State::kReady || failed) {
        continue;
      }
      any = true;
      if (!waits[thread / kWarp]) {
        current = thread;
        threadIdx = {static_cast<unsigned>(thread), 0, 0};
        enter(*fibers[thread]);
      }
    }
  }
  for (const int thread : order) {
    if (fibers[thread]->state != State::kEnded && !failed) {
      failed = true;
      sentence = "threads wait at different places, or for one that has ended";
    }
  }
}

// The library's thread-local memory of this thread: the __shared__ variables.
struct Shared {
  void* begin = nullptr;
  size_t size = 0;
};
thread_local volatile char some_shared = 0;

int find_shared(dl_phdr_info* library, size_t, void* found) {
  const auto* here = reinterpret_cast<const char*>(&find_shared);
  const auto* base = reinterpret_cast<const char*>(library->dlpi_addr);
  bool is_this = false;
  size_t size = 0;
  for (int i = 0; i < library->dlpi_phnum; ++i) {
    const auto& part = library->dlpi_phdr[i];
    if (part.p_type == PT_LOAD) {
      const auto* begin = base + part.p_vaddr;
      is_this = is_this || (here >= begin && here < begin + part.p_memsz);
    } else if (part.p_type == PT_TLS) {
      size = part.p_memsz;
    }
  }
  if (is_this) {
    *static_cast<Shared*>(found) = {library->dlpi_tls_data, size};
  }
  return is_this ? 1 : 0;
}

void release(State waiting, int begin, int end) {
  for (int thread = begin; thread < end; ++thread) {
    if (fibers[thread]->state == waiting) {
      fibers[thread]->state = State::kReady;
    }
  }
}

}  // namespace

void launch(
    int64_t blocks, int block_threads, cudaStream_t, const std::function<void()>& kernel) {
  failed = false;
  if (blocks < 1 || blocks > 0x7fffffff || block_threads < 1 || block_threads > kMostThreads ||
      block_threads % kWarp != 0) {
    failed = true;
    sentence = "a grid has at least one block, and a block 32 to 1024 threads in whole warps";
  }
  body = &kernel;
  some_shared = 1;  // has the memory made
  Shared shared;
  dl_iterate_phdr(find_shared, &shared);
  gridDim = {static_cast<unsigned>(blocks), 1, 1};
  blockDim = {static_cast<unsigned>(block_threads), 1, 1};
  // Blocks are run in the order of a stride that leaves none out: they must not rely on any.
  const int64_t first = static_cast<int64_t>(random_numbers() % static_cast<uint64_t>(blocks));
  for (int64_t i = 0; i < blocks && !failed; ++i) {
    blockIdx = {static_cast<unsigned>((first + i) % blocks), 0, 0};
    std::memset(shared.begin, 0x5a, shared.size);
    run_block();
  }
}

void meet_block() {
  if (++at_block == threads()) {
    at_block = 0;
    release(State::kAtBlock, 0, threads());
    return;
  }
  leave(State::kAtBlock);
}

const uint64_t* meet_warp(unsigned mask, const char* what, uint64_t value) {
  if (mask != 0xffffffff) {
    fail("a warp's function was called for a part of its lanes, which nothing here needs");
  }
  const int number = current / kWarp;
  Warp& warp = warps[number];
  if (warp.arrived > 0 && std::strcmp(warp.what, what) != 0) {
    fail("lanes of a warp are at different functions of the warp");
  }
  warp.what = what;
  uint64_t* values = warp.values[warp.turn];
  values[current % kWarp] = value;
  if (++warp.arrived == kWarp) {
    warp.arrived = 0;
    warp.turn ^= 1;
    release(State::kAtWarp, number * kWarp, (number + 1) * kWarp);
  } else {
    leave(State::kAtWarp);
  }
  return values;
}

void fail(const char* why) {
  failed = true;
  sentence = why;
  leave(State::kReady);
  std::abort();  // nobody returns here
}

const char* error() {
  return sentence.c_str();
}

// For ctypes.
extern "C" const char* cuda_on_host_error() {
  return error();
}
extern "C" void cuda_on_host_seed(unsigned seed) {
  random_numbers.seed(seed);
}

}  // namespace cuda_on_host

cudaError_t cudaGetLastError() {
  const bool was = cuda_on_host::failed;
  cuda_on_host::failed = false;
  return was ? cudaErrorLaunchFailure : cudaSuccess;
}
