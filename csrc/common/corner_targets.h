// The tensors and the arithmetic of corner_targets and center_targets, the same on every device. No
// torch here: device code includes this. The formulas are explained in cornernet_ops/formulas.py.
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

// Whose equations bound the radius; see gaussian_radius in cornernet_ops/formulas.py.
enum class RadiusFormula : int32_t { k2019, k2018 };

// Whole cells by which both corners of a box of this size may move; 0 where there is no such.
CORNERNET_HOST_DEVICE inline int64_t gaussian_radius(
    double height, double width, double overlap, RadiusFormula formula) {
  // In this order of operations, as the reference explains.
  const double total = height + width;
  const double beside_c = width * height * (1 - overlap) / (1 + overlap);
  const double beside_root = std::sqrt(total * total - 4 * beside_c);
  const double inside_b = 2 * total;
  const double inside_c = (1 - overlap) * width * height;
  const double inside_root = std::sqrt(inside_b * inside_b - 16 * inside_c);
  const double around_a = 4 * overlap;
  const double around_b = -2 * overlap * total;
  const double around_c = (overlap - 1) * width * height;
  const double around_root = std::sqrt(around_b * around_b - 4 * around_a * around_c);
  const bool is_2019 = formula == RadiusFormula::k2019;
  const double beside = (is_2019 ? total - beside_root : total + beside_root) / 2;
  const double inside = is_2019 ? (inside_b - inside_root) / 8 : (inside_b + inside_root) / 2;
  const double around = (around_b + around_root) / (is_2019 ? 2 * around_a : 2);
  double radius = beside < inside ? beside : inside;
  radius = radius < around ? radius : around;
  // NaN, from a negative area, fails the comparison of all three.
  const bool real = beside == beside && inside == inside && around == around;
  radius = radius < kLargestRadius ? radius : kLargestRadius;
  return real && radius > 0 ? static_cast<int64_t>(radius) : 0;
}

// What the kernels read and write: contiguous tensors. Of pairs, the first is of the top-left
// corners, the second of the bottom-right ones; where centres are drawn, they are the first, and
// there is no second.
struct CornerTargets {
  const float* boxes;          // [M, 4]
  const int64_t* labels;       // [M]
  const int64_t* image_index;  // [M]
  float* heat[2];              // [N, K, H, W]
  float* offset[2];            // [N, 2, H, W]
  float* mask[2];              // [N, 1, H, W]
  int64_t* cell[2];            // [M]
  int64_t count;               // M
  int64_t batch;
  int64_t num_classes;
  int64_t height;
  int64_t width;
  float scale_y;
  float scale_x;
  double overlap;  // double: radii that are whole numbers depend on its last bits
  RadiusFormula radius_formula;
  float sigma_divisor;
  int32_t kinds;  // of keypoints: 2, corners, or 1, centres

  CORNERNET_HOST_DEVICE int64_t area() const { return height * width; }
};

// A keypoint of a box [4], in cells. kind: 0 top-left or centre, 1 bottom-right.
struct TargetPoint {
  CORNERNET_HOST_DEVICE TargetPoint(const CornerTargets& targets, const float* box, int kind)
      : TargetPoint(
            targets, targets.kinds == 2 ? box[2 * kind] : (box[0] + box[2]) / 2,
            targets.kinds == 2 ? box[2 * kind + 1] : (box[1] + box[3]) / 2) {}
  CORNERNET_HOST_DEVICE TargetPoint(const CornerTargets& targets, float pixel_x, float pixel_y)
      : px(scaled_coordinate(pixel_x, targets.scale_x)),
        py(scaled_coordinate(pixel_y, targets.scale_y)),
        x(nearest_cell(px, targets.width)),
        y(nearest_cell(py, targets.height)),
        cell(y * targets.width + x) {}

  // What rounding down to a cell loses.
  CORNERNET_HOST_DEVICE float offset_x() const { return px - static_cast<float>(x); }
  CORNERNET_HOST_DEVICE float offset_y() const { return py - static_cast<float>(y); }

  float px;
  float py;
  int64_t x;
  int64_t y;
  int64_t cell;
};

// The radius of the Gaussians of a box [4].
CORNERNET_HOST_DEVICE inline int64_t gaussian_radius(
    const CornerTargets& targets, const float* box) {
  const float width =
      scaled_coordinate(box[2], targets.scale_x) - scaled_coordinate(box[0], targets.scale_x);
  const float height =
      scaled_coordinate(box[3], targets.scale_y) - scaled_coordinate(box[1], targets.scale_y);
  return gaussian_radius(
      std::ceil(height), std::ceil(width), targets.overlap, targets.radius_formula);
}

// Twice the squared deviation of the Gaussian of a radius.
CORNERNET_HOST_DEVICE inline float twice_variance(const CornerTargets& targets, int64_t radius) {
  const float deviation = static_cast<float>(2 * radius + 1) / targets.sigma_divisor;
  return 2.0F * (deviation * deviation);
}

}  // namespace cornernet
