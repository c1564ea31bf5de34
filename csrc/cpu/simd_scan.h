// Corner pooling in vectors: a line of the scan to each lane, many lines at once.
//
// Where lines are columns of memory, neighbours are lanes as they lie there. Where they are rows, a
// block of rows is read in squares, which are turned in registers, scanned and turned back: a scan
// within a vector would need another way for each dtype and for NaN. The code stands in simd_scan.inc,
// which is compiled for vectors of 16 bytes, which every processor has, and on x86 for the 32 bytes
// of AVX2 too.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

#include "element.h"
#include "prefetch.h"
#include "simd.h"
#include "half_convert.h"

namespace cornernet::cpu {

template <typename T>
using Lane = typename IntegerOf<sizeof(T)>::type;

// The bits of minus infinity, which every value takes over from.
template <typename T>
constexpr Lane<T> kLowest = static_cast<Lane<T>>(
    std::is_same_v<T, c10::Half>       ? 0xfc00
    : std::is_same_v<T, c10::BFloat16> ? 0xff80
    : std::is_same_v<T, float>         ? 0xff800000
                                       : 0xfff0000000000000);

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

// Where in a line of `length` the scan is after `step` steps.
template <bool reverse>
CORNERNET_INLINE int64_t position(int64_t length, int64_t step) {
  return reverse ? length - 1 - step : step;
}

// The value of type T that every other takes over from.
template <typename T>
CORNERNET_INLINE T lowest() {
  const Lane<T> bits = kLowest<T>;
  T value;
  std::memcpy(static_cast<void*>(&value), &bits, sizeof value);
  return value;
}

// a + b as torch adds: 16-bit floats in float32, rounded once.
template <typename T>
CORNERNET_INLINE T add_rounded(T a, T b) {
  return narrow<T>(widen(a) + widen(b));
}

// A line from `step` on, element by element, for what is too little for a vector; `maximum` is that
// of the elements before. The running maximum is written to y, or added to what is there.
template <bool reverse, bool add, typename T>
CORNERNET_INLINE void pool_line(
    const T* x, T maximum, T* y, int64_t length, int64_t stride, int64_t step) {
  for (; step < length; ++step) {
    const int64_t at = position<reverse>(length, step) * stride;
    maximum = choose(is_new_max(x[at], maximum), x[at], maximum);
    y[at] = add ? add_rounded(y[at], maximum) : maximum;
  }
}

// A maximum collects the gradients from its own element up to the next maximum's. So: first flag
// where a new maximum takes over, in scan order; then add up against it, and reset the sum at every head.
template <bool reverse, typename T>
CORNERNET_INLINE void find_heads_in_line(
    const T* x, T maximum, bool* heads, int64_t length, int64_t stride, int64_t step) {
  for (; step < length; ++step) {
    const T value = x[position<reverse>(length, step) * stride];
    heads[step] = is_new_max(value, maximum);
    maximum = choose(heads[step], value, maximum);
  }
}

// Down to `step`; returns what the elements before it have to add.
template <bool reverse, typename T>
CORNERNET_INLINE typename Wide<T>::type sum_segments_in_line(
    const T* g, const bool* heads, T* dx, int64_t length, int64_t stride, int64_t step) {
  using Sum = typename Wide<T>::type;
  Sum sum = 0;
  for (int64_t s = length - 1; s >= step; --s) {
    const int64_t at = position<reverse>(length, s) * stride;
    const Sum total = sum + widen(g[at]);
    dx[at] = narrow<T>(heads[s] ? total : Sum(0));
    sum = heads[s] ? Sum(0) : total;
  }
  return sum;
}

template <bool reverse, typename T>
CORNERNET_INLINE void pool_line_backward(
    const T* g, const T* x, T* dx, int64_t length, int64_t stride, bool* heads) {
  find_heads_in_line<reverse>(x, lowest<T>(), heads, length, stride, 0);
  sum_segments_in_line<reverse>(g, heads, dx, length, stride, 0);
}

// Both scans of `channels` channels of an image with its channels innermost, `stride` elements
// from one cell to the next.
template <bool reverse, typename T>
CORNERNET_INLINE void pool_image_lines(
    const T* vertical, const T* horizontal, T* y, int64_t height, int64_t width, int64_t stride,
    int64_t channels) {
  const int64_t down = width * stride;
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t i = 0; i < width; ++i) {
      const int64_t at = i * stride + c;
      pool_line<reverse, false>(vertical + at, lowest<T>(), y + at, height, down, 0);
    }
    for (int64_t i = 0; i < height; ++i) {
      const int64_t at = i * down + c;
      pool_line<reverse, true>(horizontal + at, lowest<T>(), y + at, width, stride, 0);
    }
  }
}

// How far ahead of themselves scans along rows ask for memory.
template <typename T>
constexpr int64_t kLeadRows = 32 / sizeof(T);

// The rows that a scan of `rows` rows will come to, to be asked for.
template <typename T>
Prefetcher rows_prefetcher(const T* first, int64_t length, int64_t rows, bool write) {
  const int64_t rest = (rows - kLeadRows<T>) * length;
  return rest > 0 ? Prefetcher(first + kLeadRows<T> * length, 1, rest, 0, write) : Prefetcher();
}

// How far ahead of themselves scans across rows ask for memory.
constexpr int64_t kLeadBytes = 1 << 13;

// The rows of a panel that a scan will come to, to be asked for.
template <bool reverse, typename T>
Prefetcher panel_prefetcher(const T* first, int64_t length, int64_t stride, int64_t width, bool write) {
  const int64_t bytes = width * static_cast<int64_t>(sizeof(T));
  const int64_t lead = std::max<int64_t>(1, kLeadBytes / bytes);
  if (length <= lead) {
    return Prefetcher();
  }
  const T* next = first + position<reverse>(length, lead) * stride;
  return Prefetcher(next, length - lead, width, reverse ? -stride : stride, write);
}

}  // namespace cornernet::cpu

#if defined(__GNUC__)

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

#else

namespace cornernet::cpu {
namespace baseline {

template <typename T, bool reverse, bool add>
void pool_rows(const T* x, T* y, int64_t length, int64_t rows, Prefetcher, Prefetcher) {
  for (int64_t row = 0; row < rows; ++row) {
    pool_line<reverse, add>(x + row * length, lowest<T>(), y + row * length, length, 1, 0);
  }
}

template <typename T, bool reverse>
void pool_rows_backward(
    const T* g, const T* x, T* dx, int64_t length, int64_t rows, Scratch& heads, Prefetcher, Prefetcher,
    Prefetcher) {
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t at = row * length;
    pool_line_backward<reverse>(g + at, x + at, dx + at, length, 1, heads.flags(length));
  }
}

template <typename T, bool reverse, int>
void pool_columns(
    const T* x, T* y, int64_t length, int64_t stride, int64_t width, Prefetcher, Prefetcher) {
  for (int64_t column = 0; column < width; ++column) {
    pool_line<reverse, false>(x + column, lowest<T>(), y + column, length, stride, 0);
  }
}

template <typename T, bool reverse>
void pool_columns_backward(
    const T* g, const T* x, T* dx, int64_t length, int64_t stride, int64_t width, Scratch& heads,
    Prefetcher, Prefetcher, Prefetcher) {
  for (int64_t column = 0; column < width; ++column) {
    pool_line_backward<reverse>(
        g + column, x + column, dx + column, length, stride, heads.flags(length));
  }
}

template <typename T, bool reverse>
void pool_panel(
    const T* x, T* y, int64_t length, int64_t stride, int64_t width, Scratch&) {
  pool_columns<T, reverse, kFirstCache>(x, y, length, stride, width, Prefetcher(), Prefetcher());
}

template <typename T, bool reverse>
void pool_panel_backward(
    const T* g, const T* x, T* dx, int64_t length, int64_t stride, int64_t width, Scratch& heads,
    Scratch&) {
  pool_columns_backward<T, reverse>(
      g, x, dx, length, stride, width, heads, Prefetcher(), Prefetcher(), Prefetcher());
}

template <typename T, bool reverse>
void pool_image(
    const T* vertical, const T* horizontal, T* y, int64_t height, int64_t width,
    int64_t stride, int64_t channels, Scratch&) {
  pool_image_lines<reverse>(vertical, horizontal, y, height, width, stride, channels);
}

}  // namespace baseline
}  // namespace cornernet::cpu

#endif

// The kernel `function` for the processor that runs; more arguments of the template may follow.
#if defined(__GNUC__) && defined(__x86_64__)
#define CORNERNET_BEST(function, T, reverse, ...)                              \
  (has_avx2() ? (reverse ? &avx2::function<T, true __VA_ARGS__>                \
                         : &avx2::function<T, false __VA_ARGS__>)              \
              : (reverse ? &baseline::function<T, true __VA_ARGS__>            \
                         : &baseline::function<T, false __VA_ARGS__>))
#else
#define CORNERNET_BEST(function, T, reverse, ...)     \
  (reverse ? &baseline::function<T, true __VA_ARGS__> \
           : &baseline::function<T, false __VA_ARGS__>)
#endif
