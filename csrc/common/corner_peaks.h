// How every device sees the tensors of corner_peaks. No torch here: device code includes this.
#pragma once

#include <cstdint>

#include "arithmetic.h"
#include "dtype.h"
#include "host_device.h"

namespace cornernet {

// What the kernels read and write: contiguous tensors; the map has at least one element.
struct CornerPeaks {
  Dtype dtype;
  const void* heat;        // [N, C, H, W]
  const void* min_scores;  // [C], or null
  void* scores;            // [N, K]
  int64_t* indices;        // [N, K]
  int64_t n;
  int64_t c;
  int64_t h;
  int64_t w;
  int64_t k;
  int64_t radius;  // of the window

  // Of one image.
  CORNERNET_HOST_DEVICE int64_t cells() const { return c * h * w; }
};

// The radius of a window of kernel_size cells, no larger than a plane needs.
inline int64_t window_radius(int64_t h, int64_t w, int64_t kernel_size) {
  return min(kernel_size / 2, max(h, w));
}

// The cells around a cell of a plane, the last row and column included.
template <typename Int>
struct Window {
  CORNERNET_HOST_DEVICE Window(Int y, Int x, Int height, Int width, Int radius)
      : top(y - min(y, radius)),
        left(x - min(x, radius)),
        bottom(y + min(height - 1 - y, radius)),
        right(x + min(width - 1 - x, radius)) {}

  Int top;
  Int left;
  Int bottom;
  Int right;
};

}  // namespace cornernet
