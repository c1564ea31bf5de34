// Corner pooling of single lines, element by element: for what is too little for a vector.
#pragma once

#include <cstdint>

#include "element.h"
#include "half_convert.h"
#include "simd.h"

namespace cornernet::cpu {

// Where in a line of `length` the scan is after `step` steps.
template <bool reverse>
CORNERNET_INLINE int64_t position(int64_t length, int64_t step) {
  return reverse ? length - 1 - step : step;
}

// a + b as torch adds: 16-bit floats in float32, rounded once.
template <typename T>
CORNERNET_INLINE T add_rounded(T a, T b) {
  return narrow<T>(widen(a) + widen(b));
}

// A line from `step` on; `maximum` is that of the elements before. The running maximum is written
// to y, or its sum with the addend, which may be y.
template <bool reverse, bool add, typename T>
CORNERNET_INLINE void pool_line(
    const T* x, T maximum, const T* addend, T* y, int64_t length, int64_t stride, int64_t step) {
  for (; step < length; ++step) {
    const int64_t at = position<reverse>(length, step) * stride;
    maximum = choose(is_new_max(x[at], maximum), x[at], maximum);
    y[at] = add ? add_rounded(addend[at], maximum) : maximum;
  }
}

// Backward is a segmented reverse scan: a maximum collects the gradients from its own element, the
// head of a segment, up to the next head. First the heads are flagged, in the order of the scan;
// then the gradients are added up in the opposite order, with a sum that is reset at every head.
template <bool reverse, typename T>
CORNERNET_INLINE void find_heads_in_line(
    const T* x, T maximum, bool* heads, int64_t length, int64_t stride, int64_t step) {
  for (; step < length; ++step) {
    const T value = x[position<reverse>(length, step) * stride];
    heads[step] = is_new_max(value, maximum);
    maximum = choose(heads[step], value, maximum);
  }
}

// Down to `step`; returns the sum of the segment that is open there.
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
      pool_line<reverse, false>(vertical + at, lowest<T>(), y + at, y + at, height, down, 0);
    }
    for (int64_t i = 0; i < height; ++i) {
      const int64_t at = i * down + c;
      pool_line<reverse, true>(horizontal + at, lowest<T>(), y + at, y + at, width, stride, 0);
    }
  }
}

}  // namespace cornernet::cpu
