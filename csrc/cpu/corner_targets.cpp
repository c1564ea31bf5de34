// corner_targets on the CPU: contract in cornernet_ops/corner_targets.py.
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
void profile(int64_t radius, int64_t farthest, std::vector<float>& values) {
  const float variance = twice_variance(radius);
  values.resize(std::min(radius, farthest) + 1);
  for (int64_t distance = 0; distance < static_cast<int64_t>(values.size()); ++distance) {
    const float d = static_cast<float>(distance);
    values[distance] = std::exp(-(d * d) / variance);
  }
}

// heat: one plane [height, width].
void draw(
    float* heat, const CornerTargets& targets, const TargetCorner& corner, int64_t radius,
    const std::vector<float>& values) {
  const int64_t top = std::max<int64_t>(0, corner.y - radius);
  const int64_t bottom = std::min(targets.height, corner.y + radius + 1);
  const int64_t left = std::max<int64_t>(0, corner.x - radius);
  const int64_t right = std::min(targets.width, corner.x + radius + 1);
  for (int64_t row = top; row < bottom; ++row) {
    const float factor = values[std::abs(row - corner.y)];
    float* line = heat + row * targets.width;
    for (int64_t column = left; column < right; ++column) {
      line[column] = std::max(line[column], factor * values[std::abs(column - corner.x)]);
    }
  }
}

// One box's corner.
void place(
    const CornerTargets& targets, int64_t box, int kind, const TargetCorner& corner, int64_t radius,
    const std::vector<float>& values) {
  const int64_t area = targets.area();
  const int64_t image = targets.image_index[box];
  targets.cell[kind][box] = corner.cell;
  targets.mask[kind][image * area + corner.cell] = 1.0F;
  float* offset = targets.offset[kind] + image * 2 * area + corner.cell;
  offset[0] = corner.offset_x();
  offset[area] = corner.offset_y();
  const int64_t plane = image * targets.num_classes + targets.labels[box];
  draw(targets.heat[kind] + plane * area, targets, corner, radius, values);
}

CornerTargetsArgs::Result corner_targets(const CornerTargetsArgs& args) {
  args.check_ranges();
  args.for_each_map([](const at::Tensor& map) { use_huge_pages(map).zero_(); });
  const CornerTargets targets = args.pointers();
  at::parallel_for(0, targets.batch, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> values;
    for (int64_t i = 0; i < targets.count; ++i) {
      if (targets.image_index[i] < begin || targets.image_index[i] >= end) {
        continue;
      }
      const TargetCorner tl(targets, targets.boxes + 4 * i, 0);
      const TargetCorner br(targets, targets.boxes + 4 * i, 1);
      const int64_t radius = gaussian_radius(targets, tl, br);
      profile(radius, std::max(targets.height, targets.width), values);
      place(targets, i, 0, tl, radius, values);
      place(targets, i, 1, br, radius, values);
    }
  });
  return args.results();
}

TORCH_LIBRARY_IMPL(cornernet, CPU, m) {
  implement<CornerTargetsArgs, &corner_targets>(m);
}

}  // namespace
}  // namespace cornernet::cpu
