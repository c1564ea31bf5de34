// The arguments of corner_pool and its backward op: what the launchers of all devices share.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>

#include <string>

#include "checks.h"
#include "corner_pool.h"
#include "registration.h"
#include "tensors.h"

namespace cornernet {

// Another map [N, C, H, W] beside x.
inline void check_same_as(
    const char* op, const char* name, const at::Tensor& tensor, const at::Tensor& x) {
  check_shape(op, name, tensor, {x.size(0), x.size(1), x.size(2), x.size(3)});
  check_dtype(op, name, tensor, x.scalar_type());
  check_device(op, name, tensor, x.device());
}

inline void check_corner_pool(const char* op, const at::Tensor& x, const std::string& direction) {
  check_shape(op, "x", x, {"N", "C", "H", "W"});
  check_floating(op, "x", x);
  TORCH_CHECK_VALUE(
      direction == "top" || direction == "bottom" || direction == "left" || direction == "right",
      op, ": expected direction to be \"top\", \"bottom\", \"left\" or \"right\", got \"",
      direction, "\"");
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

struct CornerPoolArgs : Call<at::Tensor(const at::Tensor&, const std::string&)> {
  static constexpr const char* kOp = "corner_pool";

  CornerPoolArgs(const at::Tensor& given_x, const std::string& direction)
      : Call{{given_x, direction}} {
    check_corner_pool(kOp, given_x, direction);
    layout = layout_of(given_x);
    x = given_x.contiguous(layout);
    scan = scan_of(x, layout, direction);
  }

  at::Tensor empty_result() const { return at::empty_like(x, {}, layout); }
  CornerPool pointers(const at::Tensor& y) const {
    return {dtype_of(x), x.const_data_ptr(), y.mutable_data_ptr(), scan};
  }

  at::MemoryFormat layout;
  at::Tensor x;
  Scan scan;
};

struct CornerPoolBackwardArgs
    : Call<at::Tensor(const at::Tensor&, const at::Tensor&, const std::string&)> {
  static constexpr const char* kOp = "corner_pool_backward";

  CornerPoolBackwardArgs(
      const at::Tensor& given_grad_out, const at::Tensor& given_x, const std::string& direction)
      : Call{{given_grad_out, given_x, direction}} {
    check_corner_pool(kOp, given_x, direction);
    check_same_as(kOp, "grad_out", given_grad_out, given_x);
    layout = layout_of(given_x);
    grad_out = given_grad_out.contiguous(layout);
    x = given_x.contiguous(layout);
    scan = scan_of(x, layout, direction);
  }

  at::Tensor empty_result() const { return at::empty_like(x, {}, layout); }
  CornerPoolBackward pointers(const at::Tensor& grad_x) const {
    return {
        dtype_of(x), grad_out.const_data_ptr(), x.const_data_ptr(), grad_x.mutable_data_ptr(),
        scan};
  }

  at::MemoryFormat layout;
  at::Tensor grad_out;
  at::Tensor x;
  Scan scan;
};

}  // namespace cornernet
