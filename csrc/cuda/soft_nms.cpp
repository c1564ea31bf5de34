// soft_nms on CUDA, the side of torch. The kernel is in soft_nms.cu.

#include "soft_nms.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <string>
#include <tuple>

#include "../common/soft_nms_args.h"
#include "tensors.h"

namespace cornernet::cuda {
namespace {

std::tuple<at::Tensor, at::Tensor, at::Tensor> soft_nms(
    const at::Tensor& boxes, const at::Tensor& scores, const at::Tensor& labels,
    const std::string& method, double iou_threshold, double sigma, double min_score,
    int64_t max_detections, double merge_exponent) {
  check_soft_nms(boxes, scores, labels, sigma, max_detections, merge_exponent);
  const Suppression suppression = suppression_of(method);
  const c10::cuda::OptionalCUDAGuard guard(boxes.device());
  const bool wide = boxes.scalar_type() == at::kDouble || scores.scalar_type() == at::kDouble;
  const at::ScalarType dtype = wide ? at::kDouble : at::kFloat;
  const int64_t n = boxes.size(0);
  const at::TensorOptions options = boxes.options().dtype(dtype);
  at::Tensor picked_index = at::empty({n, max_detections}, labels.options());
  at::Tensor picked_boxes = at::empty({n, max_detections, 4}, options);
  at::Tensor picked_scores = at::empty({n, max_detections}, options);
  if (n == 0) {
    return {picked_index, picked_boxes, picked_scores};
  }
  const at::Tensor held_boxes = boxes.to(dtype).contiguous();
  const at::Tensor held_scores = scores.to(dtype).contiguous();
  const at::Tensor held_labels = labels.contiguous();
  at::Tensor left = at::empty_like(held_scores);

  const auto run = [&](auto number) {
    using T = decltype(number);
    const SoftNms<T> task{
        held_boxes.const_data_ptr<T>(),
        held_scores.const_data_ptr<T>(),
        held_labels.const_data_ptr<int64_t>(),
        left.mutable_data_ptr<T>(),
        picked_index.mutable_data_ptr<int64_t>(),
        picked_boxes.mutable_data_ptr<T>(),
        picked_scores.mutable_data_ptr<T>(),
        n,
        boxes.size(1),
        max_detections,
        suppression,
        static_cast<T>(iou_threshold),
        static_cast<T>(sigma),
        static_cast<T>(min_score),
        static_cast<T>(merge_exponent)};
    C10_CUDA_CHECK(soft_nms_cuda(c10::cuda::getCurrentCUDAStream(), task));
  };
  if (wide) {
    run(double());
  } else {
    run(float());
  }
  return {picked_index, picked_boxes, picked_scores};
}

}  // namespace
}  // namespace cornernet::cuda

TORCH_LIBRARY_IMPL(cornernet, CUDA, m) { m.impl("soft_nms", &cornernet::cuda::soft_nms); }
