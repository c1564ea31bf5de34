// corner_decode on CUDA, the side of torch. The kernels are in corner_decode.cu.

#include "corner_decode.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <tuple>

#include "../common/corner_decode_args.h"
#include "tensors.h"

namespace cornernet::cuda {
namespace {

using Results = std::tuple<at::Tensor, at::Tensor, at::Tensor>;
using Signature = Results(
    const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
    const at::Tensor&, const at::Tensor&, const at::Tensor&, double, int64_t);

Map map_of(const at::Tensor& tensor) {
  return {
      tensor.const_data_ptr(),
      dtype_of(tensor),
      {tensor.stride(0), tensor.stride(1), tensor.stride(2), tensor.stride(3)}};
}

// scores and indices are contiguous.
Prediction prediction_of(
    const at::Tensor& scores, const at::Tensor& indices, const at::Tensor& embedding,
    const at::Tensor& offset) {
  return {
      scores.const_data_ptr(), dtype_of(scores), indices.const_data_ptr<int64_t>(),
      scores.size(1), map_of(embedding), map_of(offset)};
}

Results corner_decode(
    const at::Tensor& tl_scores, const at::Tensor& tl_indices, const at::Tensor& br_scores,
    const at::Tensor& br_indices, const at::Tensor& tl_embedding, const at::Tensor& br_embedding,
    const at::Tensor& tl_offset, const at::Tensor& br_offset, double distance_threshold,
    int64_t max_pairs) {
  check_corner_decode(
      tl_scores, tl_indices, br_scores, br_indices, tl_embedding, br_embedding, tl_offset,
      br_offset, distance_threshold, max_pairs);
  const c10::cuda::OptionalCUDAGuard guard(tl_embedding.device());
  bool wide = false;
  for (const at::Tensor& tensor :
       {tl_scores, br_scores, tl_embedding, br_embedding, tl_offset, br_offset}) {
    wide = wide || tensor.scalar_type() == at::kDouble;
  }
  const at::TensorOptions options = tl_scores.options().dtype(wide ? at::kDouble : at::kFloat);
  const at::TensorOptions long_options = tl_indices.options();
  const DecodeSizes sizes{
      tl_embedding.size(0), tl_embedding.size(1), tl_embedding.size(2), tl_embedding.size(3),
      max_pairs};
  const int64_t n = sizes.n;
  if (n * sizes.height * sizes.width * tl_scores.size(1) * br_scores.size(1) == 0) {
    return {
        at::zeros({n, max_pairs, 4}, options), at::full({n, max_pairs}, -1, options),
        at::full({n, max_pairs}, -1, long_options)};
  }
  if (!corner_decode_fits(tl_scores.size(1), br_scores.size(1), max_pairs)) {
    return reference<Signature>(
        "corner_decode", tl_scores, tl_indices, br_scores, br_indices, tl_embedding,
        br_embedding, tl_offset, br_offset, distance_threshold, max_pairs);
  }
  const at::Tensor held[] = {
      tl_scores.contiguous(), tl_indices.contiguous(), br_scores.contiguous(),
      br_indices.contiguous()};
  const Prediction tl = prediction_of(held[0], held[1], tl_embedding, tl_offset);
  const Prediction br = prediction_of(held[2], held[3], br_embedding, br_offset);
  at::Tensor boxes = at::empty({n, max_pairs, 4}, options);
  at::Tensor scores = at::empty({n, max_pairs}, options);
  at::Tensor labels = at::empty({n, max_pairs}, long_options);
  at::Tensor workspace =
      at::empty({corner_decode_workspace(tl, br, sizes, wide)}, options.dtype(at::kByte));
  C10_CUDA_CHECK(corner_decode_cuda(
      c10::cuda::getCurrentCUDAStream(), tl, br, sizes, distance_threshold, wide,
      boxes.mutable_data_ptr(), scores.mutable_data_ptr(), labels.mutable_data_ptr<int64_t>(),
      workspace.mutable_data_ptr()));
  return {boxes, scores, labels};
}

}  // namespace
}  // namespace cornernet::cuda

TORCH_LIBRARY_IMPL(cornernet, CUDA, m) {
  m.impl("corner_decode", &cornernet::cuda::corner_decode);
}
