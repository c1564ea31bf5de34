// corner_targets and center_targets on the CPU: contract in cornernet_ops/corner_targets.py and
// center_targets.py.
//
// Filling the maps with zeros is nearly all of the work: the Gaussians cover few of their cells.
// Boxes are drawn by the thread that owns their image, in their order, so that a later box's
// offset stands and nothing is written by two threads.

#include "../common/corner_targets.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "../common/corner_targets_args.h"
#include "tensors.h"

namespace cornernet::cpu {
namespace {

// exp(-d² / (2 σ²)) for the distances 0..radius, as far as a map has such.
void profile(const CornerTargets& targets, int64_t radius, std::vector<float>& values) {
  const float variance = twice_variance(targets, radius);
  values.resize(std::min(radius, std::max(targets.height, targets.width)) + 1);
  for (int64_t distance = 0; distance < static_cast<int64_t>(values.size()); ++distance) {
    const float d = static_cast<float>(distance);
    values[distance] = std::exp(-(d * d) / variance);
  }
}

// heat: one plane [height, width].
void draw(
    float* heat, const CornerTargets& targets, const TargetPoint& point, int64_t radius,
    const std::vector<float>& values) {
  const int64_t top = std::max<int64_t>(0, point.y - radius);
  const int64_t bottom = std::min(targets.height, point.y + radius + 1);
  const int64_t left = std::max<int64_t>(0, point.x - radius);
  const int64_t right = std::min(targets.width, point.x + radius + 1);
  for (int64_t row = top; row < bottom; ++row) {
    const float factor = values[std::abs(row - point.y)];
    float* line = heat + row * targets.width;
    for (int64_t column = left; column < right; ++column) {
      line[column] = std::max(line[column], factor * values[std::abs(column - point.x)]);
    }
  }
}

// One box's point.
void place(
    const CornerTargets& targets, int64_t box, int kind, const TargetPoint& point, int64_t radius,
    const std::vector<float>& values) {
  const int64_t area = targets.area();
  const int64_t image = targets.image_index[box];
  targets.cell[kind][box] = point.cell;
  targets.mask[kind][image * area + point.cell] = 1.0F;
  float* offset = targets.offset[kind] + image * 2 * area + point.cell;
  offset[0] = point.offset_x();
  offset[area] = point.offset_y();
  const int64_t plane = image * targets.num_classes + targets.labels[box];
  draw(targets.heat[kind] + plane * area, targets, point, radius, values);
}

void draw(const TargetTensors& tensors) {
  tensors.check_ranges();
  tensors.for_each_map([](const at::Tensor& map) { use_huge_pages(map).zero_(); });
  const CornerTargets targets = tensors.pointers();
  at::parallel_for(0, targets.batch, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> values;
    for (int64_t i = 0; i < targets.count; ++i) {
      if (targets.image_index[i] < begin || targets.image_index[i] >= end) {
        continue;
      }
      const float* box = targets.boxes + 4 * i;
      const int64_t radius = gaussian_radius(targets, box);
      profile(targets, radius, values);
      for (int kind = 0; kind < targets.kinds; ++kind) {
        place(targets, i, kind, TargetPoint(targets, box, kind), radius, values);
      }
    }
  });
}

template <typename Args>
typename Args::Result draw_targets(const Args& args) {
  draw(args);
  return args.results();
}

TORCH_LIBRARY_IMPL(cornernet, CPU, m) {
  implement<CornerTargetsArgs, &draw_targets<CornerTargetsArgs>>(m);
  implement<CenterTargetsArgs, &draw_targets<CenterTargetsArgs>>(m);
}

}  // namespace
}  // namespace cornernet::cpu
