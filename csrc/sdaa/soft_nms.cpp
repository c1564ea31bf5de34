// soft_nms on SDAA, the side of torch. The kernel is in soft_nms.scpp.

#include "soft_nms.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/DeviceGuard.h>
#include <torch/library.h>
#include <torch_sdaa/sdaa_extension.h>

#include <string>
#include <tuple>

#include "../common/soft_nms_args.h"
#include "tensors.h"

namespace cornernet::sdaa {
namespace {

using Results = std::tuple<at::Tensor, at::Tensor, at::Tensor>;
using Signature = Results(
    const at::Tensor&, const at::Tensor&, const at::Tensor&, const std::string&, double, double,
    double, int64_t, double);

Results soft_nms(
    const at::Tensor& boxes, const at::Tensor& scores, const at::Tensor& labels,
    const std::string& method, double iou_threshold, double sigma, double min_score,
    int64_t max_detections, double merge_exponent) {
  check_soft_nms(boxes, scores, labels, sigma, max_detections, merge_exponent);
  const Suppression suppression = suppression_of(method);
  const int64_t n = boxes.size(0);
  const int64_t candidates = boxes.size(1);
  if (boxes.scalar_type() == at::kDouble || scores.scalar_type() == at::kDouble ||
      !cornernet_sdaa_soft_nms_fits(candidates)) {
    return on_cpu<Signature>(
        "soft_nms", boxes, scores, labels, method, iou_threshold, sigma, min_score,
        max_detections, merge_exponent);
  }
  const c10::OptionalDeviceGuard guard(boxes.device());
  const at::TensorOptions options = boxes.options().dtype(at::kFloat);
  at::Tensor picked_index = at::empty({n, max_detections}, labels.options());
  at::Tensor picked_boxes = at::empty({n, max_detections, 4}, options);
  at::Tensor picked_scores = at::empty({n, max_detections}, options);
  if (n == 0) {
    return {picked_index, picked_boxes, picked_scores};
  }
  const at::Tensor held_boxes = boxes.to(at::kFloat).contiguous();
  const at::Tensor held_scores = scores.to(at::kFloat).contiguous();
  const at::Tensor held_labels = labels.contiguous();
  const cornernet_sdaa_soft_nms_arguments arguments = {
      held_boxes.const_data_ptr<float>(),
      held_scores.const_data_ptr<float>(),
      held_labels.const_data_ptr<int64_t>(),
      picked_index.mutable_data_ptr<int64_t>(),
      picked_boxes.mutable_data_ptr<float>(),
      picked_scores.mutable_data_ptr<float>(),
      n,
      candidates,
      max_detections,
      static_cast<int>(suppression),
      static_cast<float>(iou_threshold),
      static_cast<float>(sigma),
      static_cast<float>(min_score),
      static_cast<float>(merge_exponent)};
  cornernet_sdaa_soft_nms(torch::sdaa::getCurrentSDAAStream(), arguments);
  return {picked_index, picked_boxes, picked_scores};
}

}  // namespace
}  // namespace cornernet::sdaa

TORCH_LIBRARY_IMPL(cornernet, PrivateUse1, m) { m.impl("soft_nms", &cornernet::sdaa::soft_nms); }
