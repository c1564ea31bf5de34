// The arguments of corner_pool_pair and its backward op: what the launchers of all devices share.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>

#include <string>
#include <tuple>

#include "checks.h"
#include "corner_pool_args.h"
#include "corner_pool_pair.h"
#include "registration.h"

namespace cornernet {

inline void check_corner_pool_pair(
    const char* op, const at::Tensor& vertical, const at::Tensor& horizontal,
    const std::string& corner) {
  check_shape(op, "vertical", vertical, {"N", "C", "H", "W"});
  check_floating(op, "vertical", vertical);
  check_same_as(op, "horizontal", horizontal, vertical);
  TORCH_CHECK_VALUE(
      corner == "top_left" || corner == "bottom_right", op,
      ": expected corner to be \"top_left\" or \"bottom_right\", got \"", corner, "\"");
}

// The directions of corner_pool that a corner is made of.
inline std::string vertical_direction(const std::string& corner) {
  return corner == "top_left" ? "top" : "bottom";
}
inline std::string horizontal_direction(const std::string& corner) {
  return corner == "top_left" ? "left" : "right";
}

struct CornerPoolPairArgs
    : Call<at::Tensor(const at::Tensor&, const at::Tensor&, const std::string&)> {
  static constexpr const char* kOp = "corner_pool_pair";

  CornerPoolPairArgs(
      const at::Tensor& given_vertical, const at::Tensor& given_horizontal,
      const std::string& given_corner)
      : Call{{given_vertical, given_horizontal, given_corner}}, corner(given_corner) {
    check_corner_pool_pair(kOp, given_vertical, given_horizontal, corner);
    layout = layout_of(given_vertical);
    vertical = given_vertical.contiguous(layout);
    horizontal = given_horizontal.contiguous(layout);
  }

  at::Tensor empty_result() const { return at::empty_like(vertical, {}, layout); }
  bool channels_last() const { return layout == at::MemoryFormat::ChannelsLast; }

  // Where both scans are done in one pass. Maps that are not channels_last.
  CornerPoolPair planes(const at::Tensor& y) const {
    return {
        dtype_of(vertical),
        vertical.const_data_ptr(),
        horizontal.const_data_ptr(),
        y.mutable_data_ptr(),
        vertical.size(0) * vertical.size(1),
        vertical.size(2),
        vertical.size(3),
        corner == "top_left"};
  }
  // Where there are two passes: corner_pool, and one that adds to its result.
  CornerPool vertical_pass(const at::Tensor& y) const {
    return pass(vertical, y, vertical_direction(corner));
  }
  CornerPool horizontal_pass(const at::Tensor& y) const {
    return pass(horizontal, y, horizontal_direction(corner));
  }

  at::MemoryFormat layout;
  at::Tensor vertical;
  at::Tensor horizontal;
  const std::string& corner;

 private:
  CornerPool pass(const at::Tensor& x, const at::Tensor& y, const std::string& direction) const {
    return {dtype_of(x), x.const_data_ptr(), y.mutable_data_ptr(), scan_of(x, layout, direction)};
  }
};

struct CornerPoolPairBackwardArgs
    : Call<std::tuple<at::Tensor, at::Tensor>(
          const at::Tensor&, const at::Tensor&, const at::Tensor&, const std::string&)> {
  static constexpr const char* kOp = "corner_pool_pair_backward";

  CornerPoolPairBackwardArgs(
      const at::Tensor& given_grad_out, const at::Tensor& given_vertical,
      const at::Tensor& given_horizontal, const std::string& given_corner)
      : Call{{given_grad_out, given_vertical, given_horizontal, given_corner}},
        corner(given_corner) {
    check_corner_pool_pair(kOp, given_vertical, given_horizontal, corner);
    check_same_as(kOp, "grad_out", given_grad_out, given_vertical);
    layout = layout_of(given_vertical);
    grad_out = given_grad_out.contiguous(layout);
    vertical = given_vertical.contiguous(layout);
    horizontal = given_horizontal.contiguous(layout);
  }

  bool channels_last() const { return layout == at::MemoryFormat::ChannelsLast; }

  // The gradients of the two scans by `backward`, a launcher of corner_pool_backward.
  template <typename Backward>
  Result two_passes(const Backward& backward) const {
    const std::string down = vertical_direction(corner);
    const std::string along = horizontal_direction(corner);
    return {
        backward(CornerPoolBackwardArgs(grad_out, vertical, down)),
        backward(CornerPoolBackwardArgs(grad_out, horizontal, along))};
  }

  at::MemoryFormat layout;
  at::Tensor grad_out;
  at::Tensor vertical;
  at::Tensor horizontal;
  const std::string& corner;
};

}  // namespace cornernet
