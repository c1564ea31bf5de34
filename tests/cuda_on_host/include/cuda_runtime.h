// CUDA's device code on the host: a C++ compiler compiles the .cu files as they are, and a launch
// runs them, one block after the other.
//
// The threads of a block are fibers of one thread of the host. Each runs until it has to wait, at
// __syncthreads or at a function of its warp, and then the next one has its turn. Nothing else
// makes a thread wait, so whoever reads what another one has yet to write reads something else,
// unless by chance that one has been earlier: the order of turns is drawn anew, from a seed, in
// every round, and some warps have fewer of them.
//
// A broken rule ends the launch with a sentence: threads that wait for each other at different
// places, or for one that has ended; lanes missing from a warp's function; a block that is too
// large. What it cannot show: how fast memory is, what caches and the memory model allow on a GPU,
// registers, and rounding where the compilers' mathematics differ.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>

#include "cuda_runtime_api.h"

#define __host__
#define __device__
#define __global__
#define __launch_bounds__(...)
// All of a library's thread-local memory is in one place, which is spoilt before each block.
#define __shared__ static thread_local

#define CUDA_LAUNCH(kernel, blocks, threads, stream, ...) \
  cuda_on_host::launch(blocks, threads, stream, [&] { kernel(__VA_ARGS__); })
#define DEVICE_ASSERT(condition) \
  ((condition) ? (void)0 : cuda_on_host::fail("an assertion failed: " #condition))

struct CudaOnHostIndex {
  unsigned x, y, z;
};
inline CudaOnHostIndex threadIdx;
inline CudaOnHostIndex blockIdx;
inline CudaOnHostIndex blockDim;
inline CudaOnHostIndex gridDim;

namespace cuda_on_host {

void launch(int64_t blocks, int threads, cudaStream_t, const std::function<void()>& kernel);

// All threads of the block meet here.
void meet_block();

// All lanes of the warp meet here, each with a value; afterwards the values of all of them, which
// stay until the warp's next meeting. `what` has to be the same for all.
const uint64_t* meet_warp(unsigned mask, const char* what, uint64_t value);

// The kernel cannot go on: ends the launch.
[[noreturn]] void fail(const char* sentence);

template <typename T>
uint64_t pack(T value) {
  static_assert(sizeof(T) <= sizeof(uint64_t) && std::is_trivially_copyable_v<T>);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

// The value of `lane`; the warp is cut into parts of `width` lanes.
template <typename T>
T shuffle(unsigned mask, const char* what, T value, int lane, bool inside) {
  const uint64_t* values = meet_warp(mask, what, pack(value));
  T result = value;
  if (inside) {
    std::memcpy(&result, &values[lane], sizeof result);
  }
  return result;
}

}  // namespace cuda_on_host

inline void __syncthreads() {
  cuda_on_host::meet_block();
}
inline void __syncwarp() {
  cuda_on_host::meet_warp(0xffffffff, "__syncwarp", 0);
}

template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int at = lane / width * width + source % width;
  return cuda_on_host::shuffle(mask, "__shfl_sync", value, at, true);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, int distance, int width = 32) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  return cuda_on_host::shuffle(
      mask, "__shfl_up_sync", value, lane - distance, lane % width >= distance);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, int distance, int width = 32) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  return cuda_on_host::shuffle(
      mask, "__shfl_down_sync", value, lane + distance, lane % width + distance < width);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int bits) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  return cuda_on_host::shuffle(mask, "__shfl_xor_sync", value, lane ^ bits, true);
}
inline unsigned __ballot_sync(unsigned mask, bool vote) {
  const uint64_t* votes = cuda_on_host::meet_warp(mask, "__ballot_sync", vote ? 1 : 0);
  unsigned result = 0;
  for (int lane = 0; lane < 32; ++lane) {
    result |= static_cast<unsigned>(votes[lane]) << lane;
  }
  return result;
}

inline int __clz(int value) {
  return value == 0 ? 32 : __builtin_clz(static_cast<unsigned>(value));
}
inline int __popc(unsigned value) {
  return __builtin_popcount(value);
}
inline unsigned __float_as_uint(float value) {
  return static_cast<unsigned>(cuda_on_host::pack(value));
}
inline int __float_as_int(float value) {
  return static_cast<int>(__float_as_uint(value));
}
inline long long __double_as_longlong(double value) {
  return static_cast<long long>(cuda_on_host::pack(value));
}
inline float __uint_as_float(unsigned bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// One thread at a time: what needs no waiting is atomic.
template <typename T>
T atomicAdd(T* at, T value) {
  const T old = *at;
  *at = old + value;
  return old;
}
template <typename T>
T atomicMax(T* at, T value) {
  const T old = *at;
  *at = std::max(old, value);
  return old;
}
inline void __trap() {
  cuda_on_host::fail("the kernel stopped itself by __trap");
}
