// The shape contract of corner_decode, the same on every device.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

#include "checks.h"

namespace cornernet {

inline void check_corner_decode(
    const at::Tensor& tl_scores, const at::Tensor& tl_indices, const at::Tensor& br_scores,
    const at::Tensor& br_indices, const at::Tensor& tl_embedding, const at::Tensor& br_embedding,
    const at::Tensor& tl_offset, const at::Tensor& br_offset, double distance_threshold,
    int64_t max_pairs) {
  const char* op = "corner_decode";
  check_shape(op, "tl_embedding", tl_embedding, {"N", "E", "H", "W"});
  const int64_t n = tl_embedding.size(0);
  const int64_t h = tl_embedding.size(2);
  const int64_t w = tl_embedding.size(3);
  check_shape(op, "br_embedding", br_embedding, {n, tl_embedding.size(1), h, w});
  check_shape(op, "tl_offset", tl_offset, {n, int64_t{2}, h, w});
  check_shape(op, "br_offset", br_offset, {n, int64_t{2}, h, w});
  check_shape(op, "tl_scores", tl_scores, {n, "K"});
  check_shape(op, "tl_indices", tl_indices, {n, tl_scores.size(1)});
  check_shape(op, "br_scores", br_scores, {n, "L"});
  check_shape(op, "br_indices", br_indices, {n, br_scores.size(1)});

  const std::pair<const char*, const at::Tensor&> floating[] = {
      {"tl_embedding", tl_embedding}, {"br_embedding", br_embedding}, {"tl_offset", tl_offset},
      {"br_offset", br_offset},       {"tl_scores", tl_scores},       {"br_scores", br_scores}};
  const std::pair<const char*, const at::Tensor&> indices[] = {
      {"tl_indices", tl_indices}, {"br_indices", br_indices}};
  for (const auto& [name, tensor] : floating) {
    check_floating(op, name, tensor);
  }
  for (const auto& [name, tensor] : indices) {
    check_dtype(op, name, tensor, at::kLong);
  }
  for (const auto& [name, tensor] : floating) {
    check_device(op, name, tensor, tl_embedding.device());
  }
  for (const auto& [name, tensor] : indices) {
    check_device(op, name, tensor, tl_embedding.device());
  }
  TORCH_CHECK_VALUE(
      distance_threshold >= 0, op, ": expected distance_threshold to be at least 0, got ",
      distance_threshold);
  check_at_least(op, "max_pairs", max_pairs, 1);
}

}  // namespace cornernet
