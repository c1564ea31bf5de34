// The arguments of corner_decode: what the launchers of all devices share.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <tuple>
#include <utility>

#include "checks.h"
#include "corner_decode.h"
#include "registration.h"
#include "tensors.h"

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

// The tensors of the corners of one kind; scores and indices are contiguous.
struct CornerTensors {
  void convert(at::ScalarType dtype) {
    scores = scores.to(dtype);
    embedding = embedding.to(dtype);
    offset = offset.to(dtype);
  }
  CornerPredictions pointers() const {
    return {scores.const_data_ptr(), dtype_of(scores),  indices.const_data_ptr<int64_t>(),
            scores.size(1),          map_of(embedding), map_of(offset)};
  }

  at::Tensor scores;
  at::Tensor indices;
  at::Tensor embedding;
  at::Tensor offset;

 private:
  static StridedMap map_of(const at::Tensor& map) {
    return {
        map.const_data_ptr(),
        dtype_of(map),
        {map.stride(0), map.stride(1), map.stride(2), map.stride(3)}};
  }
};

struct CornerDecodeArgs : Call<std::tuple<at::Tensor, at::Tensor, at::Tensor>(
                              const at::Tensor&, const at::Tensor&, const at::Tensor&,
                              const at::Tensor&, const at::Tensor&, const at::Tensor&,
                              const at::Tensor&, const at::Tensor&, double, int64_t, bool)> {
  static constexpr const char* kOp = "corner_decode";

  CornerDecodeArgs(
      const at::Tensor& tl_scores, const at::Tensor& tl_indices, const at::Tensor& br_scores,
      const at::Tensor& br_indices, const at::Tensor& tl_embedding, const at::Tensor& br_embedding,
      const at::Tensor& tl_offset, const at::Tensor& br_offset, double distance_threshold,
      int64_t max_pairs, bool skip_border)
      : Call{
            {tl_scores, tl_indices, br_scores, br_indices, tl_embedding, br_embedding, tl_offset,
             br_offset, distance_threshold, max_pairs, skip_border}},
        distance_threshold(distance_threshold),
        max_pairs(max_pairs),
        skip_border(skip_border) {
    check_corner_decode(
        tl_scores, tl_indices, br_scores, br_indices, tl_embedding, br_embedding, tl_offset,
        br_offset, distance_threshold, max_pairs);
    dtype =
        computation_dtype({tl_scores, br_scores, tl_embedding, br_embedding, tl_offset, br_offset});
    tl = {tl_scores.contiguous(), tl_indices.contiguous(), tl_embedding, tl_offset};
    br = {br_scores.contiguous(), br_indices.contiguous(), br_embedding, br_offset};
    const int64_t n = tl_embedding.size(0);
    const at::TensorOptions options = tl_scores.options().dtype(dtype);
    boxes = at::empty({n, max_pairs, 4}, options);
    scores = at::empty({n, max_pairs}, options);
    labels = at::empty({n, max_pairs}, tl_indices.options());
    if (empty()) {
      boxes.zero_();
      scores.fill_(-1);
      labels.fill_(-1);
    }
  }

  // Whether there is nothing to pair: the results then say so.
  bool empty() const {
    return tl.offset.numel() == 0 || tl.scores.numel() == 0 || br.scores.numel() == 0;
  }
  // Converts what the kernels read to the dtype of the computation, where they read no other.
  void convert() {
    tl.convert(dtype);
    br.convert(dtype);
  }
  Result results() const { return {boxes, scores, labels}; }
  CornerDecode pointers() const {
    return {
        {tl.pointers(), br.pointers()},
        dtype_of(boxes),
        boxes.mutable_data_ptr(),
        scores.mutable_data_ptr(),
        labels.mutable_data_ptr<int64_t>(),
        boxes.size(0),
        tl.embedding.size(1),
        tl.embedding.size(2),
        tl.embedding.size(3),
        max_pairs,
        distance_threshold,
        skip_border};
  }

  double distance_threshold;
  int64_t max_pairs;
  bool skip_border;
  at::ScalarType dtype;  // of the computation, the boxes and the scores
  CornerTensors tl;
  CornerTensors br;
  at::Tensor boxes;
  at::Tensor scores;
  at::Tensor labels;
};

}  // namespace cornernet
