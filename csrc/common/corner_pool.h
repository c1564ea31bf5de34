// How every device sees the tensors of corner_pool. No torch here: device code includes this.
#pragma once

#include <cstdint>

#include "dtype.h"

namespace cornernet {

// A dense tensor as [outer, length, inner]: element (o, p, i) lies at (o * length + p) * inner + i,
// and scans run along p. Rows and columns, contiguous and channels_last, are all of this form.
struct Scan {
  int64_t outer;
  int64_t length;
  int64_t inner;
  bool reverse;  // from the end of p to its beginning
};

// vertical: along H, otherwise along W.
inline Scan make_scan(
    int64_t n, int64_t c, int64_t h, int64_t w, bool channels_last, bool vertical, bool reverse) {
  if (channels_last) {
    return vertical ? Scan{n, h, w * c, reverse} : Scan{n * h, w, c, reverse};
  }
  return vertical ? Scan{n * c, h, w, reverse} : Scan{n * c * h, w, 1, reverse};
}

// What the kernels read and write: tensors of at least one element, laid out as `scan` says.
struct CornerPool {
  Dtype dtype;
  const void* x;
  void* y;
  Scan scan;
};
// The same with an addend, which is added to the maxima. It may be y.
struct CornerPoolAdd {
  CornerPool pool;
  const void* addend;
};
struct CornerPoolBackward {
  Dtype dtype;
  const void* grad_out;  // the gradient of y
  const void* x;
  void* grad_x;
  Scan scan;
};

}  // namespace cornernet
