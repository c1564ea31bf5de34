// What the launchers of soft_nms share on all devices: checks, and torch's arguments to plain ones.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "checks.h"
#include "soft_nms.h"

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
  TORCH_CHECK_VALUE(sigma > 0, op, ": expected sigma to be above 0, got ", sigma);
  TORCH_CHECK_VALUE(
      merge_exponent >= 0, op, ": expected merge_exponent to be at least 0, got ",
      merge_exponent);
  check_at_least(op, "max_detections", max_detections, 1);
}

}  // namespace cornernet
