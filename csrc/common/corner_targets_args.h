// The arguments of corner_targets: what the launchers of all devices share.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cstdint>
#include <tuple>
#include <utility>

#include "checks.h"
#include "corner_targets.h"
#include "registration.h"
#include "tensors.h"

namespace cornernet {

inline void check_corner_targets(
    const at::Tensor& boxes, const at::Tensor& labels, const at::Tensor& image_index, int64_t batch,
    int64_t num_classes, int64_t height, int64_t width, double overlap) {
  const char* op = "corner_targets";
  check_shape(op, "boxes", boxes, {"M", int64_t{4}});
  check_shape(op, "labels", labels, {boxes.size(0)});
  check_shape(op, "image_index", image_index, {boxes.size(0)});
  check_dtype(op, "boxes", boxes, at::kFloat);
  check_dtype(op, "labels", labels, at::kLong);
  check_dtype(op, "image_index", image_index, at::kLong);
  check_device(op, "labels", labels, boxes.device());
  check_device(op, "image_index", image_index, boxes.device());
  const std::pair<const char*, int64_t> sizes[] = {
      {"batch", batch}, {"num_classes", num_classes}, {"height", height}, {"width", width}};
  for (const auto& [name, value] : sizes) {
    check_at_least(op, name, value, 1);
  }
  TORCH_CHECK_VALUE(
      overlap > 0 && overlap < 1, op, ": expected overlap to lie between 0 and 1, got ", overlap);
}

// Checks numbers on the CPU. Elsewhere a copy to it would wait for the device: on CUDA the kernel
// asserts, on SDAA it leaves out what is out of range.
inline void check_range(const char* name, const at::Tensor& numbers, int64_t limit) {
  const int64_t* values = numbers.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < numbers.numel(); ++i) {
    TORCH_CHECK_VALUE(
        values[i] >= 0 && values[i] < limit, "corner_targets: expected ", name,
        " to hold numbers from 0 to ", limit - 1, ", got ", values[i]);
  }
}

struct CornerTargetsArgs : Call<std::tuple<
                               at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor,
                               at::Tensor, at::Tensor, at::Tensor>(
                               const at::Tensor&, const at::Tensor&, const at::Tensor&, int64_t,
                               int64_t, int64_t, int64_t, double, double, double)> {
  static constexpr const char* kOp = "corner_targets";

  CornerTargetsArgs(
      const at::Tensor& given_boxes, const at::Tensor& given_labels,
      const at::Tensor& given_image_index, int64_t batch, int64_t num_classes, int64_t height,
      int64_t width, double scale_y, double scale_x, double overlap)
      : Call{
            {given_boxes, given_labels, given_image_index, batch, num_classes, height, width,
             scale_y, scale_x, overlap}},
        scale_y(scale_y),
        scale_x(scale_x),
        overlap(overlap) {
    check_corner_targets(
        given_boxes, given_labels, given_image_index, batch, num_classes, height, width, overlap);
    boxes = given_boxes.contiguous();
    labels = given_labels.contiguous();
    image_index = given_image_index.contiguous();
    for (int kind = 0; kind < 2; ++kind) {
      heat[kind] = at::empty({batch, num_classes, height, width}, boxes.options());
      offset[kind] = at::empty({batch, 2, height, width}, boxes.options());
      mask[kind] = at::empty({batch, 1, height, width}, boxes.options());
      cell[kind] = at::empty({boxes.size(0)}, labels.options());
    }
  }

  // Checks labels and image_index, which are on the CPU.
  void check_ranges() const {
    check_range("labels", labels, heat[0].size(1));
    check_range("image_index", image_index, heat[0].size(0));
  }
  // Calls body with each of the maps.
  template <typename Body>
  void for_each_map(const Body& body) const {
    for (const at::Tensor* maps : {heat, offset, mask}) {
      body(maps[0]);
      body(maps[1]);
    }
  }
  Result results() const {
    return {heat[0], heat[1], offset[0], offset[1], mask[0], mask[1], cell[0], cell[1]};
  }
  CornerTargets pointers() const {
    const auto map = [](const at::Tensor& tensor) { return tensor.mutable_data_ptr<float>(); };
    return {
        boxes.const_data_ptr<float>(),
        labels.const_data_ptr<int64_t>(),
        image_index.const_data_ptr<int64_t>(),
        {map(heat[0]), map(heat[1])},
        {map(offset[0]), map(offset[1])},
        {map(mask[0]), map(mask[1])},
        {cell[0].mutable_data_ptr<int64_t>(), cell[1].mutable_data_ptr<int64_t>()},
        boxes.size(0),
        heat[0].size(0),
        heat[0].size(1),
        heat[0].size(2),
        heat[0].size(3),
        static_cast<float>(scale_y),
        static_cast<float>(scale_x),
        overlap};
  }

  double scale_y;
  double scale_x;
  double overlap;
  at::Tensor boxes;
  at::Tensor labels;
  at::Tensor image_index;
  // Of the top-left and of the bottom-right corners.
  at::Tensor heat[2];
  at::Tensor offset[2];
  at::Tensor mask[2];
  at::Tensor cell[2];
};

}  // namespace cornernet
