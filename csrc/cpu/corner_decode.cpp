// corner_decode on the CPU: contract in cornernet_ops/corner_decode.py.
//
// Corners of different classes never pair, so the bottom-right ones are put in the order of their
// classes and each top-left one meets those of its own. The best pairs are kept in a heap: memory
// is K + L + M, not K x L, and once the heap is full most pairs fall at its threshold, before their
// embeddings are read.

#include "../common/corner_decode_args.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <tuple>
#include <type_traits>
#include <vector>

#include "top_k.h"

namespace cornernet::cpu {
namespace {

// A map [N, D, H, W] of any strides, as the network left it.
template <typename T>
struct Map {
  explicit Map(const at::Tensor& tensor)
      : data(tensor.const_data_ptr<T>()),
        strides{tensor.stride(0), tensor.stride(1), tensor.stride(2), tensor.stride(3)} {}

  T at(int64_t n, int64_t d, int64_t y, int64_t x) const {
    return data[n * strides[0] + d * strides[1] + y * strides[2] + x * strides[3]];
  }

  const T* data;
  int64_t strides[4];
};

template <typename T>
struct Corner {
  int64_t label;  // -1: no corner
  int64_t rank;
  T score;
  T x;
  T y;
};

// What the network said of one image's corners of one kind.
template <typename T>
struct Prediction {
  const T* scores;         // [K]
  const int64_t* indices;  // [K]
  int64_t count;
  Map<T> embedding;
  Map<T> offset;
};

template <typename T>
struct Corners {
  int64_t channels;
  std::vector<Corner<T>> by_rank;
  std::vector<T> embeddings;  // [K, E]
};

template <typename T>
Corners<T> gather(
    const Prediction<T>& from, int64_t image, int64_t channels, int64_t height, int64_t width) {
  Corners<T> corners{channels, {}, std::vector<T>(from.count * channels)};
  corners.by_rank.reserve(from.count);
  for (int64_t rank = 0; rank < from.count; ++rank) {
    const int64_t index = from.indices[image * from.count + rank];
    if (index < 0) {
      corners.by_rank.push_back({-1, rank, 0, 0, 0});
      continue;
    }
    const int64_t cell = index % (height * width);
    const int64_t y = cell / width;
    const int64_t x = cell % width;
    corners.by_rank.push_back(
        {index / (height * width), rank, from.scores[image * from.count + rank],
         static_cast<T>(x) + from.offset.at(image, 0, y, x),
         static_cast<T>(y) + from.offset.at(image, 1, y, x)});
    for (int64_t channel = 0; channel < channels; ++channel) {
      corners.embeddings[rank * channels + channel] = from.embedding.at(image, channel, y, x);
    }
  }
  return corners;
}

// Added up channel by channel, as the reference does: a pair on the threshold must not depend on
// the order.
template <typename T>
T distance(const Corners<T>& tl, int64_t tl_rank, const Corners<T>& br, int64_t br_rank) {
  const T* a = tl.embeddings.data() + tl_rank * tl.channels;
  const T* b = br.embeddings.data() + br_rank * br.channels;
  T sum = 0;
  for (int64_t channel = 0; channel < tl.channels; ++channel) {
    const T difference = a[channel] - b[channel];
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

// The best pairs of one image, from the best on; the rank of a pair is tl rank * L + br rank.
template <typename T>
std::vector<Ranked<T>> best_pairs(
    const Corners<T>& tl, const Corners<T>& br, T threshold, int64_t max_pairs) {
  const auto by_label = [](const Corner<T>& a, const Corner<T>& b) { return a.label < b.label; };
  std::vector<Corner<T>> partners = br.by_rank;
  std::stable_sort(partners.begin(), partners.end(), by_label);

  const int64_t count = static_cast<int64_t>(br.by_rank.size());
  TopK<T> best(max_pairs, -std::numeric_limits<T>::infinity());
  for (const Corner<T>& a : tl.by_rank) {
    if (a.label < 0) {
      continue;
    }
    const auto range = std::equal_range(partners.begin(), partners.end(), a, by_label);
    for (auto b = range.first; b != range.second; ++b) {
      const T score = (a.score + b->score) / 2;
      // Written so that a NaN anywhere fails.
      if (score > best.threshold() && b->x > a.x && b->y > a.y &&
          distance(tl, a.rank, br, b->rank) <= threshold) {
        best.offer(score, a.rank * count + b->rank);
      }
    }
  }
  std::vector<Ranked<T>> pairs = best.kept();
  keep_best(pairs, max_pairs);
  return pairs;
}

template <typename T>
void decode(
    const Prediction<T>& tl, const Prediction<T>& br, at::IntArrayRef shape, T threshold,
    int64_t max_pairs, T* boxes, T* scores, int64_t* labels) {
  at::parallel_for(0, shape[0], 1, [&](int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; ++image) {
      const Corners<T> tl_corners = gather(tl, image, shape[1], shape[2], shape[3]);
      const Corners<T> br_corners = gather(br, image, shape[1], shape[2], shape[3]);
      int64_t row = image * max_pairs;
      for (const Ranked<T>& pair : best_pairs(tl_corners, br_corners, threshold, max_pairs)) {
        const Corner<T>& a = tl_corners.by_rank[pair.rank / br.count];
        const Corner<T>& b = br_corners.by_rank[pair.rank % br.count];
        boxes[4 * row] = a.x;
        boxes[4 * row + 1] = a.y;
        boxes[4 * row + 2] = b.x;
        boxes[4 * row + 3] = b.y;
        scores[row] = pair.score;
        labels[row] = a.label;
        ++row;
      }
    }
  });
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> corner_decode(
    const at::Tensor& tl_scores, const at::Tensor& tl_indices, const at::Tensor& br_scores,
    const at::Tensor& br_indices, const at::Tensor& tl_embedding, const at::Tensor& br_embedding,
    const at::Tensor& tl_offset, const at::Tensor& br_offset, double distance_threshold,
    int64_t max_pairs) {
  check_corner_decode(
      tl_scores, tl_indices, br_scores, br_indices, tl_embedding, br_embedding, tl_offset,
      br_offset, distance_threshold, max_pairs);

  at::ScalarType dtype = at::kFloat;
  for (const at::Tensor& tensor :
       {tl_scores, br_scores, tl_embedding, br_embedding, tl_offset, br_offset}) {
    dtype = tensor.scalar_type() == at::kDouble ? at::kDouble : dtype;
  }
  const int64_t n = tl_embedding.size(0);
  const at::TensorOptions options = tl_scores.options().dtype(dtype);
  at::Tensor boxes = at::zeros({n, max_pairs, 4}, options);
  at::Tensor scores = at::full({n, max_pairs}, -1, options);
  at::Tensor labels = at::full({n, max_pairs}, -1, tl_indices.options());
  if (tl_embedding.size(2) * tl_embedding.size(3) == 0) {
    return {boxes, scores, labels};
  }

  const auto run = [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    // Held until the kernel is done: converted copies where dtypes differ, else the same tensors.
    const at::Tensor held[] = {
        tl_scores.to(dtype).contiguous(),
        tl_indices.contiguous(),
        br_scores.to(dtype).contiguous(),
        br_indices.contiguous(),
        tl_embedding.to(dtype),
        br_embedding.to(dtype),
        tl_offset.to(dtype),
        br_offset.to(dtype)};
    const Prediction<T> tl{
        held[0].const_data_ptr<T>(), held[1].const_data_ptr<int64_t>(), tl_scores.size(1),
        Map<T>(held[4]), Map<T>(held[6])};
    const Prediction<T> br{
        held[2].const_data_ptr<T>(), held[3].const_data_ptr<int64_t>(), br_scores.size(1),
        Map<T>(held[5]), Map<T>(held[7])};
    decode(
        tl, br, tl_embedding.sizes(), static_cast<T>(distance_threshold), max_pairs,
        boxes.mutable_data_ptr<T>(), scores.mutable_data_ptr<T>(),
        labels.mutable_data_ptr<int64_t>());
  };
  if (dtype == at::kDouble) {
    run(static_cast<double*>(nullptr));
  } else {
    run(static_cast<float*>(nullptr));
  }
  return {boxes, scores, labels};
}

}  // namespace
}  // namespace cornernet::cpu

TORCH_LIBRARY_IMPL(cornernet, CPU, m) {
  m.impl("corner_decode", &cornernet::cpu::corner_decode);
}
