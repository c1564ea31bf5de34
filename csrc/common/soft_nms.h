// The arithmetic of soft_nms, the same on every device. No torch here: device code includes this.
// The rules are explained in cornernet_ops/soft_nms.py.
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

// The factor by which a picked box lowers the score of one that it overlaps.
template <typename T>
CORNERNET_HOST_DEVICE inline T suppression_factor(
    Suppression method, T overlap, T iou_threshold, T sigma) {
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

}  // namespace cornernet
