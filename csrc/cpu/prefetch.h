// Prefetching memory before it is needed.
//
// Processors prefetch by themselves where addresses rise from one access to the next. A scan in
// descending address order, or down several rows at once, waits for every line instead: measured,
// three to four times as long as a copy takes. So the kernels prefetch what comes next while they
// work on what is there, in rising order, a little at a step.
#pragma once

#include <algorithm>
#include <cstdint>

#include "simd.h"

namespace cornernet::cpu {

constexpr int64_t kCacheLine = 64;

// The cache to prefetch into, by __builtin_prefetch's number. The first cache is best for what is
// read and written in small pieces, soon after. What does not fit it beside the rest is evicted
// before it is used: backward, for pairs and in rows of pages, the second one saves a quarter to
// half of the time.
constexpr int kFirstCache = 3;
constexpr int kSecondCache = 2;

// Prefetches `rows` pieces of `width` elements, `stride` elements apart; nothing by default.
class Prefetcher {
 public:
  Prefetcher() = default;
  template <typename T>
  Prefetcher(const T* first, int64_t rows, int64_t width, int64_t stride, bool write)
      : row_(reinterpret_cast<const char*>(first)),
        rows_(rows),
        bytes_(width * static_cast<int64_t>(sizeof(T))),
        stride_(stride * static_cast<int64_t>(sizeof(T))),
        write_(write) {}

  // Prefetches the next `step_bytes` bytes, as many as a kernel works on between two calls: with
  // more, lines would be evicted before the kernel comes to them. Does nothing past the end.
  template <int cache, int64_t step_bytes>
  CORNERNET_INLINE void step() {
    if (rows_ == 0) {
      return;
    }
    for (int64_t i = 0; i < step_bytes; i += kCacheLine) {
      line<cache>(row_ + at_ + i);
    }
    at_ += step_bytes;
    if (at_ >= bytes_) {
      at_ = 0;
      row_ += stride_;
      --rows_;
    }
  }

 private:
  template <int cache>
  CORNERNET_INLINE void line(const char* address) const {
    if (write_) {
      __builtin_prefetch(address, 1, cache);
    } else {
      __builtin_prefetch(address, 0, cache);
    }
  }

  const char* row_ = nullptr;
  int64_t at_ = 0;
  int64_t rows_ = 0;
  int64_t bytes_ = 0;
  int64_t stride_ = 0;
  bool write_ = false;
};

}  // namespace cornernet::cpu
