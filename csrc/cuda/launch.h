// What every kernel for CUDA includes. No torch here, nor in any .cu: nvcc compiles them where no
// torch for CUDA is installed, and a C++ compiler does for tests/cuda_on_host.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "../common/dtype.h"
#include "element.h"

// One place for the syntax that only nvcc reads.
#ifndef CUDA_LAUNCH
#define CUDA_LAUNCH(kernel, blocks, threads, stream, ...) \
  kernel<<<static_cast<unsigned>(blocks), threads, 0, stream>>>(__VA_ARGS__)
#endif

// Checks what only the device can see; release builds do too.
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

// Calls body with a null pointer to the element type.
template <typename Body>
cudaError_t dispatch(Dtype dtype, const Body& body) {
  switch (dtype) {
    case Dtype::kHalf:
      return body(static_cast<Half*>(nullptr));
    case Dtype::kBFloat16:
      return body(static_cast<BFloat16*>(nullptr));
    case Dtype::kDouble:
      return body(static_cast<double*>(nullptr));
    default:
      return body(static_cast<float*>(nullptr));
  }
}

// A number as a type, for bodies that are templates.
template <int N>
struct Count {
  static constexpr int value = N;
};

// Calls body with how many elements of T, as a Count, are to be loaded at once: 16 bytes of them
// where all runs of `run` elements begin at multiples of that, else one.
template <typename T, typename Body, typename... Pointers>
cudaError_t dispatch_vectors(int64_t run, const Body& body, const Pointers*... pointers) {
  const uintptr_t addresses =
      (static_cast<uintptr_t>(run * sizeof(T)) | ... | reinterpret_cast<uintptr_t>(pointers));
  if (addresses % 16 == 0) {
    return body(Count<16 / static_cast<int>(sizeof(T))>());
  }
  return body(Count<1>());
}

}  // namespace cornernet::cuda
