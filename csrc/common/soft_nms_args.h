// The arguments of soft_nms: what the launchers of all devices share.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <string>
#include <tuple>

#include "checks.h"
#include "registration.h"
#include "soft_nms.h"
#include "tensors.h"

namespace cornernet {

inline Suppression suppression_of(const std::string& method) {
  if (method == "gaussian") {
    return Suppression::kGaussian;
  }
  if (method == "linear") {
    return Suppression::kLinear;
  }
  if (method == "hard") {
    return Suppression::kHard;
  }
  TORCH_CHECK_VALUE(
      method == "none",
      "soft_nms: expected method to be \"gaussian\", \"linear\", \"hard\" or \"none\", got \"",
      method, "\"");
  return Suppression::kNone;
}

inline void check_soft_nms(
    const at::Tensor& boxes, const at::Tensor& scores, const at::Tensor& labels, double sigma,
    int64_t max_detections, double merge_exponent) {
  const char* op = "soft_nms";
  check_shape(op, "boxes", boxes, {"N", "P", int64_t{4}});
  check_shape(op, "scores", scores, {boxes.size(0), boxes.size(1)});
  check_shape(op, "labels", labels, {boxes.size(0), boxes.size(1)});
  check_floating(op, "boxes", boxes);
  check_floating(op, "scores", scores);
  check_dtype(op, "labels", labels, at::kLong);
  check_device(op, "scores", scores, boxes.device());
  check_device(op, "labels", labels, boxes.device());
  check_above(op, "sigma", sigma, 0);
  TORCH_CHECK_VALUE(
      merge_exponent >= 0, op, ": expected merge_exponent to be at least 0, got ", merge_exponent);
  check_at_least(op, "max_detections", max_detections, 1);
}

struct SoftNmsArgs : Call<std::tuple<at::Tensor, at::Tensor, at::Tensor>(
                         const at::Tensor&, const at::Tensor&, const at::Tensor&,
                         const std::string&, double, double, double, int64_t, double)> {
  static constexpr const char* kOp = "soft_nms";

  SoftNmsArgs(
      const at::Tensor& given_boxes, const at::Tensor& given_scores, const at::Tensor& given_labels,
      const std::string& method, double iou_threshold, double sigma, double min_score,
      int64_t max_detections, double merge_exponent)
      : Call{
            {given_boxes, given_scores, given_labels, method, iou_threshold, sigma, min_score,
             max_detections, merge_exponent}},
        iou_threshold(iou_threshold),
        sigma(sigma),
        min_score(min_score),
        merge_exponent(merge_exponent) {
    check_soft_nms(given_boxes, given_scores, given_labels, sigma, max_detections, merge_exponent);
    suppression = suppression_of(method);
    dtype = computation_dtype({given_boxes, given_scores});
    boxes = given_boxes;
    scores = given_scores;
    labels = given_labels.contiguous();
    const int64_t n = boxes.size(0);
    const at::TensorOptions options = boxes.options().dtype(dtype);
    picked_index = at::empty({n, max_detections}, labels.options());
    picked_boxes = at::empty({n, max_detections, 4}, options);
    picked_scores = at::empty({n, max_detections}, options);
  }

  // Converts what the kernels read to the dtype of the computation.
  void convert() {
    boxes = boxes.to(dtype).contiguous();
    scores = scores.to(dtype).contiguous();
  }
  // Whether there is no image.
  bool empty() const { return boxes.size(0) == 0; }
  Result results() const { return {picked_index, picked_boxes, picked_scores}; }
  // After `convert`.
  template <typename T>
  SoftNms<T> pointers() const {
    return {
        boxes.const_data_ptr<T>(),
        scores.const_data_ptr<T>(),
        labels.const_data_ptr<int64_t>(),
        picked_index.mutable_data_ptr<int64_t>(),
        picked_boxes.mutable_data_ptr<T>(),
        picked_scores.mutable_data_ptr<T>(),
        boxes.size(0),
        boxes.size(1),
        picked_index.size(1),
        suppression,
        static_cast<T>(iou_threshold),
        static_cast<T>(sigma),
        static_cast<T>(min_score),
        static_cast<T>(merge_exponent)};
  }

  Suppression suppression;
  double iou_threshold;
  double sigma;
  double min_score;
  double merge_exponent;
  at::ScalarType dtype;  // of the computation and the results
  at::Tensor boxes;
  at::Tensor scores;
  at::Tensor labels;
  at::Tensor picked_index;
  at::Tensor picked_boxes;
  at::Tensor picked_scores;
};

}  // namespace cornernet
