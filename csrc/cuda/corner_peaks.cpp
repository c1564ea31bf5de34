// corner_peaks on CUDA, the side of torch. The kernels are in corner_peaks.cu.

#include "corner_peaks.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <torch/library.h>

#include <limits>
#include <optional>
#include <tuple>

#include "../common/corner_peaks_args.h"
#include "tensors.h"

namespace cornernet::cuda {
namespace {

using Results = std::tuple<at::Tensor, at::Tensor>;
using Signature =
    Results(const at::Tensor&, int64_t, int64_t, const std::optional<at::Tensor>&);

Results corner_peaks(
    const at::Tensor& heat, int64_t k, int64_t kernel_size,
    const std::optional<at::Tensor>& min_scores) {
  check_corner_peaks(heat, k, kernel_size, min_scores);
  const c10::cuda::OptionalCUDAGuard guard(heat.device());
  const int64_t n = heat.size(0);
  const at::TensorOptions long_options = heat.options().dtype(at::kLong);
  if (heat.numel() == 0) {
    return {
        at::full({n, k}, -std::numeric_limits<double>::infinity(), heat.options()),
        at::full({n, k}, -1, long_options)};
  }
  const int64_t cells = heat.size(1) * heat.size(2) * heat.size(3);
  if (!corner_peaks_fits(cells, k)) {
    return reference<Signature>("corner_peaks", heat, k, kernel_size, min_scores);
  }
  const Dtype dtype = dtype_of(heat);
  const at::Tensor dense = heat.contiguous();
  const at::Tensor least = min_scores.has_value() ? min_scores->contiguous() : at::Tensor();
  at::Tensor scores = at::empty({n, k}, heat.options());
  at::Tensor indices = at::empty({n, k}, long_options);
  at::Tensor workspace = at::empty(
      {corner_peaks_workspace(dtype, n, cells, k)}, heat.options().dtype(at::kByte));
  C10_CUDA_CHECK(corner_peaks_cuda(
      c10::cuda::getCurrentCUDAStream(), dtype, dense.const_data_ptr(),
      least.defined() ? least.const_data_ptr() : nullptr, scores.mutable_data_ptr(),
      indices.mutable_data_ptr<int64_t>(), workspace.mutable_data_ptr(), n, heat.size(1),
      heat.size(2), heat.size(3), k, kernel_size));
  return {scores, indices};
}

}  // namespace
}  // namespace cornernet::cuda

TORCH_LIBRARY_IMPL(cornernet, CUDA, m) {
  m.impl("corner_peaks", &cornernet::cuda::corner_peaks);
}
