// Corner pooling in vectors: a line of the scan to each lane, many lines at once.
//
// Where lines are columns of memory, neighbours are lanes as they lie there. Where they are rows, a
// block of rows is read, transposed in registers, scanned and transposed back: a scan within a
// vector would need another way for each dtype and for NaN. The code stands in simd_scan.inc, which
// is compiled for vectors of 16 bytes, which every processor has, and on x86 for the 32 bytes of
// AVX2 too.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

#include "element.h"
#include "half_convert.h"
#include "prefetch.h"
#include "scan.h"
#include "simd.h"

namespace cornernet::cpu {

// Vectors side by side in a strip of columns: two cache lines of AVX2's.
constexpr int kVectors = 4;

// A thread's memory for vectors and flags; its owner keeps it from one piece to the next.
class Scratch {
 public:
  // At least `bytes` bytes, on a boundary that any vector may begin at.
  void* vectors(int64_t bytes) {
    vectors_.resize(std::max<size_t>(vectors_.size(), bytes + kMostBytes));
    void* at = vectors_.data();
    size_t space = vectors_.size();
    return std::align(kMostBytes, space - kMostBytes, at, space);
  }
  bool* flags(int64_t count) {
    flags_.resize(std::max<size_t>(flags_.size(), count));
    return reinterpret_cast<bool*>(flags_.data());
  }

 private:
  static constexpr size_t kMostBytes = 32;
  std::vector<char> vectors_;
  std::vector<char> flags_;
};

// How many rows ahead scans along rows prefetch.
template <typename T>
constexpr int64_t kLeadRows = 32 / sizeof(T);

// Prefetches the rows that a scan of `rows` rows will come to.
template <typename T>
Prefetcher rows_prefetcher(const T* first, int64_t length, int64_t rows, bool write) {
  const int64_t rest = length * (rows - kLeadRows<T>);
  return rest > 0 ? Prefetcher(first + kLeadRows<T> * length, 1, rest, 0, write) : Prefetcher();
}

// How many bytes ahead scans across rows prefetch.
constexpr int64_t kLeadBytes = 1 << 13;

// Prefetches the rows of a panel that a scan will come to.
template <bool reverse, typename T>
Prefetcher panel_prefetcher(
    const T* first, int64_t length, int64_t stride, int64_t width, bool write) {
  const int64_t bytes = width * static_cast<int64_t>(sizeof(T));
  const int64_t lead = std::max<int64_t>(1, kLeadBytes / bytes);
  if (length <= lead) {
    return Prefetcher();
  }
  const T* next = first + position<reverse>(length, lead) * stride;
  return Prefetcher(next, length - lead, width, reverse ? -stride : stride, write);
}

}  // namespace cornernet::cpu

#define CORNERNET_SET baseline
#define CORNERNET_TARGET
#define CORNERNET_VECTOR_BYTES 16
#include "simd_scan.inc"
#undef CORNERNET_SET
#undef CORNERNET_TARGET
#undef CORNERNET_VECTOR_BYTES

#if defined(__x86_64__)
#include <immintrin.h>

#define CORNERNET_SET avx2
#define CORNERNET_TARGET __attribute__((target("avx2,f16c")))
#define CORNERNET_VECTOR_BYTES 32
#include "simd_scan.inc"
#undef CORNERNET_SET
#undef CORNERNET_TARGET
#undef CORNERNET_VECTOR_BYTES
#endif

namespace cornernet::cpu {

// The kernel for the processor that runs. `choose` gets the kernels of an instruction set and, as a
// std::bool_constant, whether the scan goes in reverse; it returns one of the kernels.
template <typename Choose>
auto best_kernel(bool reverse, const Choose& choose) {
  const auto in_direction = [&](auto kernels) {
    return reverse ? choose(kernels, std::true_type()) : choose(kernels, std::false_type());
  };
#if defined(__x86_64__)
  if (has_avx2()) {
    return in_direction(avx2::Kernels());
  }
#endif
  return in_direction(baseline::Kernels());
}

}  // namespace cornernet::cpu
