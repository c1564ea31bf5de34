// The arithmetic of corner_targets, the same on every device. No torch here: device code includes
// this. The formulas are explained in cornernet_ops/corner_targets.py.
#pragma once

#include <cmath>
#include <cstdint>

#include "host_device.h"

namespace cornernet {

// In cells: beyond any map, and small enough for whole numbers.
constexpr double kLargestRadius = 1e9;

// A coordinate in cells: times the scale in float32; what is not finite counts as 0.
CORNERNET_HOST_DEVICE inline float scaled_coordinate(float pixels, float scale) {
  const float scaled = pixels * scale;
  return std::isfinite(scaled) ? scaled : 0.0F;
}

// The cell that a coordinate is rounded down to, or the nearest one of the map.
CORNERNET_HOST_DEVICE inline int64_t nearest_cell(float coordinate, int64_t length) {
  if (!(coordinate > 0.0F)) {
    return 0;
  }
  const float last = static_cast<float>(length - 1);
  return coordinate < last ? static_cast<int64_t>(coordinate) : length - 1;
}

// Whole cells by which both corners of a box of this size may move; 0 where there is no such.
CORNERNET_HOST_DEVICE inline int64_t gaussian_radius(double height, double width, double overlap) {
  // In this order of operations, as the reference in cornernet_ops/corner_targets.py explains.
  const double total = height + width;
  const double beside_c = width * height * (1 - overlap) / (1 + overlap);
  const double beside = (total - std::sqrt(total * total - 4 * beside_c)) / 2;
  const double inside_b = 2 * total;
  const double inside_c = (1 - overlap) * width * height;
  const double inside = (inside_b - std::sqrt(inside_b * inside_b - 16 * inside_c)) / 8;
  const double around_a = 4 * overlap;
  const double around_b = -2 * overlap * total;
  const double around_c = (overlap - 1) * width * height;
  const double root = std::sqrt(around_b * around_b - 4 * around_a * around_c);
  const double around = (around_b + root) / (2 * around_a);
  double radius = beside < inside ? beside : inside;
  radius = radius < around ? radius : around;
  // NaN, from a negative area, fails the comparison of all three.
  const bool real = beside == beside && inside == inside && around == around;
  radius = radius < kLargestRadius ? radius : kLargestRadius;
  return real && radius > 0 ? static_cast<int64_t>(radius) : 0;
}

// Twice the squared deviation of the Gaussian of a radius.
CORNERNET_HOST_DEVICE inline float twice_variance(int64_t radius) {
  const float deviation = static_cast<float>(2 * radius + 1) / 6.0F;
  return 2.0F * (deviation * deviation);
}

}  // namespace cornernet
