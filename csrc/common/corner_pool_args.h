// What the launchers of corner_pool share on all devices: checks, and torch tensor to Scan.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "checks.h"
#include "corner_pool.h"

namespace cornernet {

inline void check_corner_pool(const char* op, const at::Tensor& x, const std::string& direction) {
  check_shape(op, "x", x, {"N", "C", "H", "W"});
  check_floating(op, "x", x);
  TORCH_CHECK_VALUE(
      direction == "top" || direction == "bottom" || direction == "left" || direction == "right",
      op, ": expected direction to be \"top\", \"bottom\", \"left\" or \"right\", got \"",
      direction, "\"");
}

inline void check_corner_pool_backward(
    const at::Tensor& grad_out, const at::Tensor& x, const std::string& direction) {
  const char* op = "corner_pool_backward";
  check_corner_pool(op, x, direction);
  check_shape(op, "grad_out", grad_out, {x.size(0), x.size(1), x.size(2), x.size(3)});
  check_dtype(op, "grad_out", grad_out, x.scalar_type());
  check_device(op, "grad_out", grad_out, x.device());
}

// The memory format of the results; `_layout` in cornernet_ops/corner_pool.py is its twin.
inline at::MemoryFormat layout_of(const at::Tensor& x) {
  const bool channels_innermost = x.size(1) > 1 && x.stride(1) == 1 && !x.is_contiguous();
  return channels_innermost ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

inline Scan scan_of(const at::Tensor& x, at::MemoryFormat layout, const std::string& direction) {
  return make_scan(
      x.size(0), x.size(1), x.size(2), x.size(3), layout == at::MemoryFormat::ChannelsLast,
      direction == "top" || direction == "bottom", direction == "top" || direction == "left");
}

}  // namespace cornernet
