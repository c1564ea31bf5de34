// The tensors and the arithmetic of corner_decode, the same on every device. No torch here: device
// code includes this.
#pragma once

#include <cmath>
#include <cstdint>

#include "dtype.h"
#include "host_device.h"

namespace cornernet {

// [N, D, H, W] of any strides, as the network left it.
struct StridedMap {
  const void* data;
  Dtype dtype;
  int64_t strides[4];

  CORNERNET_HOST_DEVICE int64_t offset(int64_t n, int64_t d, int64_t y, int64_t x) const {
    return n * strides[0] + d * strides[1] + y * strides[2] + x * strides[3];
  }
};

// What the network predicts of the corners of one kind.
struct CornerPredictions {
  const void* scores;  // [N, count], contiguous as the indices
  Dtype score_dtype;
  const int64_t* indices;  // [N, count]
  int64_t count;
  StridedMap embedding;
  StridedMap offset;
};

// What the kernels read and write. There is at least one image, cell and corner of either kind.
struct CornerDecode {
  CornerPredictions kinds[2];  // top-left, bottom-right
  Dtype dtype;                 // of the computation, the boxes and the scores
  void* boxes;                 // [N, M, 4]
  void* scores;                // [N, M]
  int64_t* labels;             // [N, M]
  int64_t n;
  int64_t channels;  // of the embeddings
  int64_t height;
  int64_t width;
  int64_t max_pairs;          // M
  double distance_threshold;  // converted to the dtype of the computation
  bool skip_border;

  // The number of a pair is tl rank * L + br rank.
  CORNERNET_HOST_DEVICE int64_t pairs() const { return kinds[0].count * kinds[1].count; }

  // Whether an index is that of a corner that may make a box.
  CORNERNET_HOST_DEVICE bool is_corner(int kind, int64_t index) const {
    if (index < 0 || !skip_border) {
      return index >= 0;
    }
    const int64_t cell = index % (height * width);
    const int64_t y = cell / width;
    const int64_t x = cell % width;
    return kind == 0 ? y > 0 && x > 0 : y < height - 1 && x < width - 1;
  }
};

template <typename T>
struct Corner {
  int64_t label;  // negative: no corner
  T x;            // in cells
  T y;
  T score;
};

template <typename T>
CORNERNET_HOST_DEVICE inline T pair_score(const Corner<T>& tl, const Corner<T>& br) {
  return (tl.score + br.score) / 2;
}

// Whether the second corner lies right of and below the first; not if a coordinate is NaN.
template <typename T>
CORNERNET_HOST_DEVICE inline bool makes_box(const Corner<T>& tl, const Corner<T>& br) {
  return br.x > tl.x && br.y > tl.y;
}

// Added up channel by channel, as the reference does: a pair on the threshold must not depend on
// the order. In two statements, so that the compiler makes no fused multiply-add of them.
template <typename T>
CORNERNET_HOST_DEVICE inline T embedding_distance(const T* tl, const T* br, int64_t channels) {
  T sum = 0;
  for (int64_t channel = 0; channel < channels; ++channel) {
    const T difference = tl[channel] - br[channel];
    const T square = difference * difference;
    sum += square;
  }
  return std::sqrt(sum);
}

}  // namespace cornernet
