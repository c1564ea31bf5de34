// corner_decode on SDAA, the side of torch. The kernel is in corner_decode.scpp.

#include "corner_decode.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <c10/core/DeviceGuard.h>
#include <torch/library.h>
#include <torch_sdaa/sdaa_extension.h>

#include <tuple>

#include "../common/corner_decode_args.h"
#include "tensors.h"

namespace cornernet::sdaa {
namespace {

using Results = std::tuple<at::Tensor, at::Tensor, at::Tensor>;
using Signature = Results(
    const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
    const at::Tensor&, const at::Tensor&, const at::Tensor&, double, int64_t);

// One kind's tensors as the kernel takes them, held until it is launched.
struct Corners {
  Corners(
      const at::Tensor& scores, const at::Tensor& indices, const at::Tensor& embedding,
      const at::Tensor& offset)
      : scores(scores.to(at::kFloat).contiguous()),
        indices(indices.contiguous()),
        embedding(embedding.to(at::kFloat).contiguous()),
        offset(offset.to(at::kFloat).contiguous()) {}

  cornernet_sdaa_corners pointers() const {
    return {
        scores.const_data_ptr<float>(), indices.const_data_ptr<int64_t>(),
        embedding.const_data_ptr<float>(), offset.const_data_ptr<float>(), scores.size(1)};
  }

  at::Tensor scores;
  at::Tensor indices;
  at::Tensor embedding;
  at::Tensor offset;
};

Results corner_decode(
    const at::Tensor& tl_scores, const at::Tensor& tl_indices, const at::Tensor& br_scores,
    const at::Tensor& br_indices, const at::Tensor& tl_embedding, const at::Tensor& br_embedding,
    const at::Tensor& tl_offset, const at::Tensor& br_offset, double distance_threshold,
    int64_t max_pairs) {
  check_corner_decode(
      tl_scores, tl_indices, br_scores, br_indices, tl_embedding, br_embedding, tl_offset,
      br_offset, distance_threshold, max_pairs);

  const int64_t n = tl_embedding.size(0);
  const int64_t channels = tl_embedding.size(1);
  const int64_t h = tl_embedding.size(2);
  const int64_t w = tl_embedding.size(3);
  const int64_t tl_count = tl_scores.size(1);
  const int64_t br_count = br_scores.size(1);
  const bool empty = n * h * w * tl_count * br_count == 0;
  bool fits = empty || cornernet_sdaa_corner_decode_fits(channels, tl_count, br_count, max_pairs);
  for (const at::Tensor& tensor :
       {tl_scores, br_scores, tl_embedding, br_embedding, tl_offset, br_offset}) {
    fits = fits && tensor.scalar_type() != at::kDouble;
  }
  if (!fits) {
    return on_cpu<Signature>(
        "corner_decode", tl_scores, tl_indices, br_scores, br_indices, tl_embedding, br_embedding,
        tl_offset, br_offset, distance_threshold, max_pairs);
  }

  const c10::OptionalDeviceGuard guard(tl_scores.device());
  const at::TensorOptions options = tl_scores.options().dtype(at::kFloat);
  if (empty) {
    return {
        at::zeros({n, max_pairs, 4}, options), at::full({n, max_pairs}, -1, options),
        at::full({n, max_pairs}, -1, tl_indices.options())};
  }
  const Corners tl(tl_scores, tl_indices, tl_embedding, tl_offset);
  const Corners br(br_scores, br_indices, br_embedding, br_offset);
  at::Tensor boxes = at::empty({n, max_pairs, 4}, options);
  at::Tensor scores = at::empty({n, max_pairs}, options);
  at::Tensor labels = at::empty({n, max_pairs}, tl_indices.options());
  const int64_t bytes =
      cornernet_sdaa_corner_decode_workspace(n, channels, tl_count, br_count, max_pairs);
  at::Tensor workspace = at::empty({bytes}, options.dtype(at::kByte));
  cornernet_sdaa_corner_decode(
      torch::sdaa::getCurrentSDAAStream(), tl.pointers(), br.pointers(),
      static_cast<float>(distance_threshold), boxes.mutable_data_ptr<float>(),
      scores.mutable_data_ptr<float>(), labels.mutable_data_ptr<int64_t>(),
      workspace.mutable_data_ptr(), n, channels, h, w, max_pairs);
  return {boxes, scores, labels};
}

}  // namespace
}  // namespace cornernet::sdaa

TORCH_LIBRARY_IMPL(cornernet, PrivateUse1, m) {
  m.impl("corner_decode", &cornernet::sdaa::corner_decode);
}
