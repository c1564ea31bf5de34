// The arguments of corner_pool_add: what the launchers of all devices share. The gradient of x is
// corner_pool_backward's.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>

#include <string>

#include "checks.h"
#include "corner_pool_args.h"
#include "registration.h"

namespace cornernet {

struct CornerPoolAddArgs
    : Call<at::Tensor(const at::Tensor&, const at::Tensor&, const std::string&)> {
  static constexpr const char* kOp = "corner_pool_add";

  CornerPoolAddArgs(
      const at::Tensor& given_addend, const at::Tensor& given_x, const std::string& direction)
      : Call{{given_addend, given_x, direction}} {
    check_corner_pool(kOp, given_x, direction);
    check_same_as(kOp, "addend", given_addend, given_x);
    layout = layout_of(given_x);
    addend = given_addend.contiguous(layout);
    x = given_x.contiguous(layout);
    scan = scan_of(x, layout, direction);
  }

  at::Tensor empty_result() const { return at::empty_like(x, {}, layout); }
  CornerPoolAdd pointers(const at::Tensor& y) const {
    return {{dtype_of(x), x.const_data_ptr(), y.mutable_data_ptr(), scan}, addend.const_data_ptr()};
  }

  at::MemoryFormat layout;
  at::Tensor addend;
  at::Tensor x;
  Scan scan;
};

}  // namespace cornernet
