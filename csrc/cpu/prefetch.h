// Asking for memory before it is needed.
//
// Processors fetch ahead by themselves where addresses rise from one access to the next. A scan
// from the end of a tensor, or down several rows at once, waits for every line instead: measured,
// three to four times as long as a copy takes. So the kernels ask for what comes next while they
// work on what is there, in rising order, a little at a step.
#pragma once

#include <algorithm>
#include <cstdint>

#include "simd.h"

namespace cornernet::cpu {

constexpr int64_t kCacheLine = 64;

// Where memory is asked to come, by __builtin_prefetch's number. The first cache is best for what
// is read and written in small pieces, soon after. What does not fit it beside the rest is thrown
// out again before it is used: backward, for pairs and in rows of pages, the second one saves a
// quarter to half of the time.
constexpr int kFirstCache = 3;
constexpr int kSecondCache = 2;

// `rows` pieces of `width` elements, `stride` elements apart; nothing by default.
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

  // Asks for `share` bytes more, which is what a kernel works on between two calls: who asks for
  // more runs away from the kernel, and memory is thrown out again before it is used. Past the end
  // there is nothing to ask for.
  template <int cache, int64_t share>
  CORNERNET_INLINE void step() {
    if (rows_ == 0) {
      return;
    }
    for (int64_t i = 0; i < share; i += kCacheLine) {
      line<cache>(row_ + at_ + i);
    }
    at_ += share;
    if (at_ >= bytes_) {
      at_ = 0;
      row_ += stride_;
      --rows_;
    }
  }

 private:
  template <int cache>
  CORNERNET_INLINE void line(const char* address) const {
#if defined(__GNUC__)
    if (write_) {
      __builtin_prefetch(address, 1, cache);
    } else {
      __builtin_prefetch(address, 0, cache);
    }
#endif
  }

  const char* row_ = nullptr;
  int64_t at_ = 0;
  int64_t rows_ = 0;
  int64_t bytes_ = 0;
  int64_t stride_ = 0;
  bool write_ = false;
};

}  // namespace cornernet::cpu
