// The contract of corner_pool_pair, the same on every device.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "checks.h"
#include "corner_pool_args.h"

namespace cornernet {

inline void check_corner_pool_pair(
    const char* op, const at::Tensor& vertical, const at::Tensor& horizontal,
    const std::string& corner) {
  check_shape(op, "vertical", vertical, {"N", "C", "H", "W"});
  check_floating(op, "vertical", vertical);
  check_shape(
      op, "horizontal", horizontal,
      {vertical.size(0), vertical.size(1), vertical.size(2), vertical.size(3)});
  check_dtype(op, "horizontal", horizontal, vertical.scalar_type());
  check_device(op, "horizontal", horizontal, vertical.device());
  TORCH_CHECK_VALUE(
      corner == "top_left" || corner == "bottom_right", op,
      ": expected corner to be \"top_left\" or \"bottom_right\", got \"", corner, "\"");
}

inline void check_corner_pool_pair_backward(
    const at::Tensor& grad_out, const at::Tensor& vertical, const at::Tensor& horizontal,
    const std::string& corner) {
  const char* op = "corner_pool_pair_backward";
  check_corner_pool_pair(op, vertical, horizontal, corner);
  check_shape(
      op, "grad_out", grad_out,
      {vertical.size(0), vertical.size(1), vertical.size(2), vertical.size(3)});
  check_dtype(op, "grad_out", grad_out, vertical.scalar_type());
  check_device(op, "grad_out", grad_out, vertical.device());
}

// The directions of corner_pool that a corner is made of.
inline std::string vertical_direction(const std::string& corner) {
  return corner == "top_left" ? "top" : "bottom";
}
inline std::string horizontal_direction(const std::string& corner) {
  return corner == "top_left" ? "left" : "right";
}

}  // namespace cornernet
