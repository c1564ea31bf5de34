// What every kernel for CUDA includes. No torch here, nor in any .cu: nvcc compiles them where no
// torch for CUDA is installed, and a C++ compiler does for tests/cuda_on_host.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

// One place for the syntax that only nvcc reads.
#ifndef CUDA_LAUNCH
#define CUDA_LAUNCH(kernel, blocks, threads, stream, ...) \
  kernel<<<static_cast<unsigned>(blocks), threads, 0, stream>>>(__VA_ARGS__)
#endif

// What must be so and only the device can see: no release build leaves it out.
#ifndef DEVICE_ASSERT
#undef NDEBUG
#include <cassert>
#define DEVICE_ASSERT(condition) assert(condition)
#endif

namespace cornernet::cuda {

constexpr unsigned kWholeWarp = 0xffffffff;
constexpr int kWarp = 32;

// Whether a grid may have so many blocks.
inline bool fits_grid(int64_t blocks) {
  return blocks <= 0x7fffffff;
}

}  // namespace cornernet::cuda
