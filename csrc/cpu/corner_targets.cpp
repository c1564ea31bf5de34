// corner_targets on the CPU: contract in cornernet_ops/corner_targets.py.
//
// Filling the maps with zeros is nearly all of the work: the Gaussians cover few of their cells.
// Boxes are drawn by the thread that owns their image, in their order, so that a later box's
// offset stands and nothing is written by two threads.

#include "../common/corner_targets.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <tuple>
#include <vector>

#include "../common/corner_targets_args.h"
#include "tensors.h"

namespace cornernet::cpu {
namespace {

using Results = std::tuple<
    at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor,
    at::Tensor>;

struct Sizes {
  int64_t batch;
  int64_t num_classes;
  int64_t height;
  int64_t width;
};

at::Tensor zeros(at::IntArrayRef shape, const at::TensorOptions& options) {
  return use_huge_pages(at::empty(shape, options)).zero_();
}

// The maps of one kind of corner.
struct Maps {
  Maps(const Sizes& sizes, int64_t count, const at::TensorOptions& options)
      : heat(zeros({sizes.batch, sizes.num_classes, sizes.height, sizes.width}, options)),
        offset(zeros({sizes.batch, 2, sizes.height, sizes.width}, options)),
        mask(zeros({sizes.batch, 1, sizes.height, sizes.width}, options)),
        cell(at::empty({count}, options.dtype(at::kLong))) {}

  at::Tensor heat;
  at::Tensor offset;
  at::Tensor mask;
  at::Tensor cell;
};

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
    float* heat, const Sizes& sizes, int64_t y, int64_t x, int64_t radius,
    const std::vector<float>& values) {
  const int64_t top = std::max<int64_t>(0, y - radius);
  const int64_t bottom = std::min(sizes.height, y + radius + 1);
  const int64_t left = std::max<int64_t>(0, x - radius);
  const int64_t right = std::min(sizes.width, x + radius + 1);
  for (int64_t row = top; row < bottom; ++row) {
    const float factor = values[std::abs(row - y)];
    float* line = heat + row * sizes.width;
    for (int64_t column = left; column < right; ++column) {
      line[column] = std::max(line[column], factor * values[std::abs(column - x)]);
    }
  }
}

// One box's corner (px, py), in cells.
void place(
    Maps& maps, const Sizes& sizes, int64_t box, int64_t image, int64_t label, float px, float py,
    int64_t radius, const std::vector<float>& values) {
  const int64_t x = nearest_cell(px, sizes.width);
  const int64_t y = nearest_cell(py, sizes.height);
  const int64_t area = sizes.height * sizes.width;
  const int64_t cell = y * sizes.width + x;
  maps.cell.mutable_data_ptr<int64_t>()[box] = cell;
  maps.mask.mutable_data_ptr<float>()[image * area + cell] = 1.0F;
  float* offset = maps.offset.mutable_data_ptr<float>() + image * 2 * area + cell;
  offset[0] = px - static_cast<float>(x);
  offset[area] = py - static_cast<float>(y);
  float* heat = maps.heat.mutable_data_ptr<float>() + (image * sizes.num_classes + label) * area;
  draw(heat, sizes, y, x, radius, values);
}

Results corner_targets(
    const at::Tensor& boxes, const at::Tensor& labels, const at::Tensor& image_index,
    int64_t batch, int64_t num_classes, int64_t height, int64_t width, double scale_y,
    double scale_x, double overlap) {
  check_corner_targets(
      boxes, labels, image_index, batch, num_classes, height, width, overlap);
  const Sizes sizes{batch, num_classes, height, width};
  const int64_t count = boxes.size(0);
  const at::Tensor held_boxes = boxes.contiguous();
  const at::Tensor held_labels = labels.contiguous();
  const at::Tensor held_images = image_index.contiguous();
  const float* box = held_boxes.const_data_ptr<float>();
  const int64_t* label = held_labels.const_data_ptr<int64_t>();
  const int64_t* image = held_images.const_data_ptr<int64_t>();
  check_range("labels", held_labels, num_classes);
  check_range("image_index", held_images, batch);

  Maps tl(sizes, count, boxes.options());
  Maps br(sizes, count, boxes.options());
  const float sx = static_cast<float>(scale_x);
  const float sy = static_cast<float>(scale_y);
  at::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> values;
    for (int64_t i = 0; i < count; ++i) {
      if (image[i] < begin || image[i] >= end) {
        continue;
      }
      const float x1 = scaled_coordinate(box[4 * i], sx);
      const float y1 = scaled_coordinate(box[4 * i + 1], sy);
      const float x2 = scaled_coordinate(box[4 * i + 2], sx);
      const float y2 = scaled_coordinate(box[4 * i + 3], sy);
      const int64_t radius = gaussian_radius(std::ceil(y2 - y1), std::ceil(x2 - x1), overlap);
      profile(radius, std::max(height, width), values);
      place(tl, sizes, i, image[i], label[i], x1, y1, radius, values);
      place(br, sizes, i, image[i], label[i], x2, y2, radius, values);
    }
  });
  return {tl.heat, br.heat, tl.offset, br.offset, tl.mask, br.mask, tl.cell, br.cell};
}

}  // namespace
}  // namespace cornernet::cpu

TORCH_LIBRARY_IMPL(cornernet, CPU, m) { m.impl("corner_targets", &cornernet::cpu::corner_targets); }
