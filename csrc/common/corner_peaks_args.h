// The shape contract of corner_peaks, the same on every device.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "checks.h"

namespace cornernet {

inline void check_corner_peaks(
    const at::Tensor& heat, int64_t k, int64_t kernel_size,
    const std::optional<at::Tensor>& min_scores) {
  const char* op = "corner_peaks";
  check_shape(op, "heat", heat, {"N", "C", "H", "W"});
  check_floating(op, "heat", heat);
  check_at_least(op, "k", k, 1);
  TORCH_CHECK_VALUE(
      kernel_size >= 1 && kernel_size % 2 == 1, op,
      ": expected kernel_size to be odd and positive, got ", kernel_size);
  if (min_scores.has_value()) {
    check_shape(op, "min_scores", *min_scores, {heat.size(1)});
    check_dtype(op, "min_scores", *min_scores, heat.scalar_type());
    check_device(op, "min_scores", *min_scores, heat.device());
  }
}

}  // namespace cornernet
