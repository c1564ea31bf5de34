// How every device sees the maps of corner_pool_pair. No torch here: device code includes this.
#pragma once

#include <cstdint>

#include "dtype.h"

namespace cornernet {

// What the kernels that scan a plane both ways read and write: contiguous maps of at least one
// element, as `planes` times [height, width].
struct CornerPoolPair {
  Dtype dtype;
  const void* vertical;
  const void* horizontal;
  void* y;
  int64_t planes;
  int64_t height;
  int64_t width;
  bool reverse;  // both scans, for top-left corners
};

}  // namespace cornernet
