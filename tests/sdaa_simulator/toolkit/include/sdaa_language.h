/* SDAA C for a host compiler. The simulator's compile step includes this first of all in a .scpp;
 * on a real machine the compiler itself knows these words. */
#pragma once

/* The host's headers come before `malloc` and `memcpy` mean something else. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <type_traits>

#include "sdaa_runtime.h"

#define __SDAA__ 1
#define __global__
#define __device__
#define __host__
#define __local__ thread_local

namespace sdaa_simulator {

/* Runs `body` on every SPE of the current device. */
void launch(const char* kernel, const void* stream, const std::function<void()>& body);

/* The SPE that runs this thread; breaks off outside of kernels. */
unsigned long this_spe();

/* Ends the kernel with a sentence. */
[[noreturn]] void refuse(const char* call, const char* sentence);

void* scratchpad_malloc(size_t size, bool from_high);
void scratchpad_free(void* pointer);

}  // namespace sdaa_simulator

/* Scalars, the same in all of a kernel. */
#define threadIdx (::sdaa_simulator::this_spe())
#define threadDim (32UL)

/* kernel<<<1, stream>>>(...), which is no C++. */
#define SDAA_LAUNCH(kernel, stream, ...) \
  ::sdaa_simulator::launch(#kernel, stream, [=]() { kernel(__VA_ARGS__); })

enum MallocDirect { AddressLowToHigh, AddressHighToLow };

inline void* simulated_malloc(size_t size, MallocDirect direct = AddressLowToHigh) {
  return ::sdaa_simulator::scratchpad_malloc(size, direct == AddressHighToLow);
}
inline void simulated_free(void* pointer) {
  ::sdaa_simulator::scratchpad_free(pointer);
}

namespace sdaa {

struct MemoryStride {
  size_t dst_stride;
  size_t src_stride;
};

enum MemcpyDirect { MemcpyGlobalToSpm, MemcpySpmToGlobal };

class MemcpyHandle {
 public:
  MemcpyHandle() = default;
  MemcpyHandle(const MemcpyHandle&) = delete;
  MemcpyHandle& operator=(const MemcpyHandle&) = delete;
};

constexpr unsigned MEMCPY_SUCC = 0;

void* simulated_memcpy(void* dst, const void* src, size_t size);
void* memcpy_stride(
    void* dst, const void* src, size_t size, size_t section_1d, MemoryStride stride_1d);
void* memcpy_async(
    void* dst, const void* src, size_t size, size_t section_1d, MemoryStride stride_1d,
    MemcpyDirect direct);
void* memcpy_async(
    void* dst, const void* src, size_t size, size_t section_1d, MemoryStride stride_1d,
    MemcpyDirect direct, MemcpyHandle& handle);
void memcpy_wait();
void memcpy_wait(MemcpyHandle& handle);

unsigned check_memcpy(const void* dst, const void* src, size_t size);
unsigned check_memcpy_stride(
    const void* dst, const void* src, size_t size, size_t section_1d, MemoryStride stride_1d);
unsigned check_memcpy_async(
    const void* dst, const void* src, size_t size, size_t section_1d, MemoryStride stride_1d,
    MemcpyDirect direct);

void sync_threads();

/* dst [width, height] = src [height, width] turned; both in the scratchpad, or src in Global. */
void transpose(
    void* dst, const void* src, unsigned height, unsigned width, size_t element_size);

}  // namespace sdaa

#define malloc simulated_malloc
#define free simulated_free
#define memcpy simulated_memcpy

#include "simd.h"
