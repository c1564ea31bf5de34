// The arguments of corner_peaks: what the launchers of all devices share.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <limits>
#include <optional>
#include <tuple>

#include "checks.h"
#include "corner_peaks.h"
#include "registration.h"
#include "tensors.h"

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

struct CornerPeaksArgs
    : Call<std::tuple<at::Tensor, at::Tensor>(
          const at::Tensor&, int64_t, int64_t, const std::optional<at::Tensor>&)> {
  static constexpr const char* kOp = "corner_peaks";

  CornerPeaksArgs(
      const at::Tensor& given_heat, int64_t k, int64_t kernel_size,
      const std::optional<at::Tensor>& given_min_scores)
      : Call{{given_heat, k, kernel_size, given_min_scores}}, k(k), kernel_size(kernel_size) {
    check_corner_peaks(given_heat, k, kernel_size, given_min_scores);
    heat = given_heat.contiguous();
    min_scores = given_min_scores.has_value() ? given_min_scores->contiguous() : at::Tensor();
    scores = at::empty({heat.size(0), k}, heat.options());
    indices = at::empty({heat.size(0), k}, heat.options().dtype(at::kLong));
    if (empty()) {
      scores.fill_(-std::numeric_limits<double>::infinity());
      indices.fill_(-1);
    }
  }

  // Whether there is nothing to search: the results then say so.
  bool empty() const { return heat.numel() == 0; }
  Result results() const { return {scores, indices}; }
  CornerPeaks pointers() const {
    const int64_t h = heat.size(2);
    const int64_t w = heat.size(3);
    return {
        dtype_of(heat),
        heat.const_data_ptr(),
        min_scores.defined() ? min_scores.const_data_ptr() : nullptr,
        scores.mutable_data_ptr(),
        indices.mutable_data_ptr<int64_t>(),
        heat.size(0),
        heat.size(1),
        h,
        w,
        k,
        window_radius(h, w, kernel_size)};
  }

  int64_t k;
  int64_t kernel_size;
  at::Tensor heat;
  at::Tensor min_scores;  // undefined if there are none
  at::Tensor scores;
  at::Tensor indices;
};

}  // namespace cornernet
