// corner_peaks on SDAA, the side of torch. The kernel is in corner_peaks.scpp.

#include "corner_peaks.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <c10/core/DeviceGuard.h>
#include <torch/library.h>
#include <torch_sdaa/sdaa_extension.h>

#include <limits>
#include <optional>
#include <tuple>

#include "../common/corner_peaks_args.h"
#include "tensors.h"

namespace cornernet::sdaa {
namespace {

using Results = std::tuple<at::Tensor, at::Tensor>;
using Signature =
    Results(const at::Tensor&, int64_t, int64_t, const std::optional<at::Tensor>&);

Results corner_peaks(
    const at::Tensor& heat, int64_t k, int64_t kernel_size,
    const std::optional<at::Tensor>& min_scores) {
  check_corner_peaks(heat, k, kernel_size, min_scores);
  const c10::OptionalDeviceGuard guard(heat.device());
  const int64_t n = heat.size(0);
  const at::TensorOptions long_options = heat.options().dtype(at::kLong);
  if (heat.numel() == 0) {
    return {
        at::full({n, k}, -std::numeric_limits<double>::infinity(), heat.options()),
        at::full({n, k}, -1, long_options)};
  }
  const int dtype = kernel_dtype(heat);
  if (heat.scalar_type() == at::kDouble ||
      !cornernet_sdaa_corner_peaks_fits(
          dtype, heat.size(1), heat.size(2), heat.size(3), k, kernel_size)) {
    return on_cpu<Signature>("corner_peaks", heat, k, kernel_size, min_scores);
  }
  const at::Tensor dense = aligned(heat.contiguous());
  const at::Tensor least =
      min_scores.has_value() ? aligned(min_scores->contiguous()) : at::Tensor();
  at::Tensor scores = at::empty({n, k}, heat.options());
  at::Tensor indices = at::empty({n, k}, long_options);
  at::Tensor workspace = at::empty(
      {cornernet_sdaa_corner_peaks_workspace(n, k)}, heat.options().dtype(at::kByte));
  cornernet_sdaa_corner_peaks(
      torch::sdaa::getCurrentSDAAStream(), dtype, dense.const_data_ptr(),
      least.defined() ? least.const_data_ptr() : nullptr, scores.mutable_data_ptr(),
      indices.mutable_data_ptr<int64_t>(), workspace.mutable_data_ptr(), n, heat.size(1),
      heat.size(2), heat.size(3), k, kernel_size);
  return {scores, indices};
}

}  // namespace
}  // namespace cornernet::sdaa

TORCH_LIBRARY_IMPL(cornernet, PrivateUse1, m) {
  m.impl("corner_peaks", &cornernet::sdaa::corner_peaks);
}
