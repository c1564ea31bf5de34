// The tensors and the arithmetic of soft_nms, the same on every device. No torch here: device code
// includes this. The rules are explained in cornernet_ops/soft_nms.py.
#pragma once

#include <cmath>
#include <cstdint>

#include "host_device.h"

namespace cornernet {

enum class Suppression { kGaussian, kLinear, kHard, kNone };

template <typename T>
struct Box {
  T x1;
  T y1;
  T x2;
  T y2;

  CORNERNET_HOST_DEVICE T area() const { return (x2 - x1) * (y2 - y1); }
};

// Intersection over union; 0 where both have no area, and where a coordinate is NaN.
template <typename T>
CORNERNET_HOST_DEVICE inline T box_iou(const Box<T>& a, const Box<T>& b) {
  const T width = (a.x2 < b.x2 ? a.x2 : b.x2) - (a.x1 > b.x1 ? a.x1 : b.x1);
  const T height = (a.y2 < b.y2 ? a.y2 : b.y2) - (a.y1 > b.y1 ? a.y1 : b.y1);
  const T intersection = (width > 0 ? width : T(0)) * (height > 0 ? height : T(0));
  const T together = a.area() + b.area() - intersection;
  return together > 0 ? intersection / together : T(0);
}

// The mean of boxes by their weights.
template <typename T>
struct WeightedBoxes {
  T values[5];  // sums: x1, y1, x2, y2 times the weights, and the weights

  CORNERNET_HOST_DEVICE void add(const Box<T>& box, T weight) {
    if (weight > 0) {
      values[0] += box.x1 * weight;
      values[1] += box.y1 * weight;
      values[2] += box.x2 * weight;
      values[3] += box.y2 * weight;
      values[4] += weight;
    }
  }

  // `otherwise` if no weight is above 0.
  CORNERNET_HOST_DEVICE Box<T> mean(const Box<T>& otherwise) const {
    const T weight = values[4];
    if (!(weight > 0)) {
      return otherwise;
    }
    return {values[0] / weight, values[1] / weight, values[2] / weight, values[3] / weight};
  }
};

// What the kernels read and write: contiguous tensors; and the rules.
template <typename T>
struct SoftNms {
  const T* boxes;         // [N, P, 4]
  const T* scores;        // [N, P]
  const int64_t* labels;  // [N, P]
  int64_t* picked_index;  // [N, D]
  T* picked_boxes;        // [N, D, 4]
  T* picked_scores;       // [N, D]
  int64_t images;         // N
  int64_t candidates;     // P
  int64_t limit;          // D
  Suppression method;
  T iou_threshold;
  T sigma;
  T min_score;
  T merge_exponent;

  CORNERNET_HOST_DEVICE bool merges() const { return merge_exponent > 0; }

  // Whether a box can be picked at all; not with a score of NaN.
  CORNERNET_HOST_DEVICE bool is_candidate(int64_t label, T score) const {
    return label >= 0 && score >= min_score && score > -INFINITY;
  }

  // The factor by which a picked box lowers the score of one that it overlaps.
  CORNERNET_HOST_DEVICE T factor(T overlap) const {
    switch (method) {
      case Suppression::kGaussian:
        return std::exp(-(overlap * overlap) / sigma);
      case Suppression::kLinear:
        return overlap >= iou_threshold ? 1 - overlap : T(1);
      case Suppression::kHard:
        return overlap >= iou_threshold ? T(0) : T(1);
      default:
        return T(1);
    }
  }

  // Whether a picked box lowers the score of one of its class: most boxes do not overlap.
  CORNERNET_HOST_DEVICE bool lowers(T overlap) const { return overlap > 0 || iou_threshold <= 0; }

  // The score that such a box is left with, -infinity if it is dropped. `first_score` is the one
  // that it began with; `merged` collects what it gives to the picked box.
  CORNERNET_HOST_DEVICE T lowered_score(
      T overlap, const Box<T>& box, T first_score, T score, WeightedBoxes<T>& merged) const {
    const T by = factor(overlap);
    if (merges()) {
      merged.add(box, first_score * std::pow(1 - by, merge_exponent));
    }
    const T lowered = score * by;
    return by > 0 && lowered >= min_score ? lowered : static_cast<T>(-INFINITY);
  }
};

}  // namespace cornernet
