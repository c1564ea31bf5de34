// What the launchers of corner_targets share on all devices: checks.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

#include "checks.h"

namespace cornernet {

inline void check_corner_targets(
    const at::Tensor& boxes, const at::Tensor& labels, const at::Tensor& image_index,
    int64_t batch, int64_t num_classes, int64_t height, int64_t width, double overlap) {
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

// Of numbers on the CPU. On CUDA, where a copy to it would wait for the device, the kernel asserts.
inline void check_range(const char* name, const at::Tensor& numbers, int64_t limit) {
  const at::Tensor held = numbers.contiguous();
  const int64_t* values = held.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < held.numel(); ++i) {
    TORCH_CHECK_VALUE(
        values[i] >= 0 && values[i] < limit, "corner_targets: expected ", name,
        " to hold numbers from 0 to ", limit - 1, ", got ", values[i]);
  }
}

}  // namespace cornernet
