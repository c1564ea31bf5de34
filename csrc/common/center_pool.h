// How every device sees the maps of center_pool. No torch here: device code includes this.
#pragma once

#include <cstdint>

#include "corner_pool.h"
#include "dtype.h"

namespace cornernet {

// The sizes of dense maps of at least one element, with the channels innermost or as planes.
struct MapSizes {
  int64_t n;
  int64_t c;
  int64_t h;
  int64_t w;
  bool channels_last;

  int64_t area() const { return h * w; }
  // Their columns, or their rows, as lines of a scan.
  Scan lines(bool vertical) const {
    return make_scan(n, c, h, w, channels_last, vertical, /*reverse=*/false);
  }
};

// What the kernels read and write.
struct CenterPool {
  Dtype dtype;
  const void* vertical;
  const void* horizontal;
  void* y;
  MapSizes sizes;
};
struct CenterPoolBackward {
  Dtype dtype;
  const void* grad_out;
  const void* vertical;
  const void* horizontal;
  void* grad_vertical;  // zeros
  void* grad_horizontal;
  MapSizes sizes;
};

}  // namespace cornernet
