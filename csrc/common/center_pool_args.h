// The arguments of center_pool and its backward op: what the launchers of all devices share.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>

#include <tuple>

#include "center_pool.h"
#include "checks.h"
#include "corner_pool_args.h"
#include "registration.h"
#include "tensors.h"

namespace cornernet {

// The maps of both ops, in one layout.
struct CenterPoolMaps {
  CenterPoolMaps(
      const char* op, const at::Tensor& given_vertical, const at::Tensor& given_horizontal) {
    check_shape(op, "vertical", given_vertical, {"N", "C", "H", "W"});
    check_floating(op, "vertical", given_vertical);
    check_same_as(op, "horizontal", given_horizontal, given_vertical);
    layout = layout_of(given_vertical);
    vertical = given_vertical.contiguous(layout);
    horizontal = given_horizontal.contiguous(layout);
  }

  at::Tensor empty_map() const { return at::empty_like(vertical, {}, layout); }
  MapSizes sizes() const {
    return {
        vertical.size(0), vertical.size(1), vertical.size(2), vertical.size(3),
        layout == at::MemoryFormat::ChannelsLast};
  }

  at::MemoryFormat layout;
  at::Tensor vertical;
  at::Tensor horizontal;
};

struct CenterPoolArgs : Call<at::Tensor(const at::Tensor&, const at::Tensor&)>, CenterPoolMaps {
  static constexpr const char* kOp = "center_pool";

  CenterPoolArgs(const at::Tensor& vertical, const at::Tensor& horizontal)
      : Call{{vertical, horizontal}}, CenterPoolMaps(kOp, vertical, horizontal) {}

  CenterPool pointers(const at::Tensor& y) const {
    return {
        dtype_of(vertical), vertical.const_data_ptr(), horizontal.const_data_ptr(),
        y.mutable_data_ptr(), sizes()};
  }
};

struct CenterPoolBackwardArgs : Call<std::tuple<at::Tensor, at::Tensor>(
                                    const at::Tensor&, const at::Tensor&, const at::Tensor&)>,
                                CenterPoolMaps {
  static constexpr const char* kOp = "center_pool_backward";

  CenterPoolBackwardArgs(
      const at::Tensor& given_grad_out, const at::Tensor& vertical, const at::Tensor& horizontal)
      : Call{{given_grad_out, vertical, horizontal}}, CenterPoolMaps(kOp, vertical, horizontal) {
    check_same_as(kOp, "grad_out", given_grad_out, vertical);
    grad_out = given_grad_out.contiguous(layout);
  }

  CenterPoolBackward pointers(
      const at::Tensor& grad_vertical, const at::Tensor& grad_horizontal) const {
    return {
        dtype_of(vertical),
        grad_out.const_data_ptr(),
        vertical.const_data_ptr(),
        horizontal.const_data_ptr(),
        grad_vertical.mutable_data_ptr(),
        grad_horizontal.mutable_data_ptr(),
        sizes()};
  }

  at::Tensor grad_out;
};

}  // namespace cornernet
