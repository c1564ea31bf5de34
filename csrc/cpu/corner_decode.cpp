// corner_decode on the CPU: contract in cornernet_ops/corner_decode.py.
//
// Corners of different classes never pair, so the bottom-right ones are put in the order of their
// classes and each top-left one meets those of its own. The best pairs are kept in a heap: memory
// is K + L + M, not K x L, and once the heap is full most pairs fall at its threshold, before their
// embeddings are read.

#include "../common/corner_decode.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "../common/corner_decode_args.h"
#include "launch.h"
#include "top_k.h"

namespace cornernet::cpu {
namespace {

template <typename T>
T read(const StridedMap& map, int64_t n, int64_t d, int64_t y, int64_t x) {
  return static_cast<const T*>(map.data)[map.offset(n, d, y, x)];
}

template <typename T>
struct RankedCorner : Corner<T> {
  int64_t rank;
};

// One image's corners of one kind.
template <typename T>
struct Corners {
  const T* embedding(const RankedCorner<T>& corner) const {
    return embeddings.data() + corner.rank * channels;
  }

  int64_t channels;
  std::vector<RankedCorner<T>> by_rank;
  std::vector<T> embeddings;  // [K, E]
};

template <typename T>
Corners<T> gather(const CornerDecode& task, int kind, int64_t image) {
  const CornerPredictions& from = task.kinds[kind];
  Corners<T> corners{task.channels, {}, std::vector<T>(from.count * task.channels)};
  corners.by_rank.reserve(from.count);
  const T* scores = static_cast<const T*>(from.scores) + image * from.count;
  const int64_t area = task.height * task.width;
  for (int64_t rank = 0; rank < from.count; ++rank) {
    const int64_t index = from.indices[image * from.count + rank];
    if (!task.is_corner(kind, index)) {
      corners.by_rank.push_back({{-1, 0, 0, 0}, rank});
      continue;
    }
    const int64_t cell = index % area;
    const int64_t y = cell / task.width;
    const int64_t x = cell % task.width;
    corners.by_rank.push_back(
        {{index / area, static_cast<T>(x) + read<T>(from.offset, image, 0, y, x),
          static_cast<T>(y) + read<T>(from.offset, image, 1, y, x), scores[rank]},
         rank});
    for (int64_t channel = 0; channel < task.channels; ++channel) {
      corners.embeddings[rank * task.channels + channel] =
          read<T>(from.embedding, image, channel, y, x);
    }
  }
  return corners;
}

// The best pairs of one image, from the best on; the rank of a pair is tl rank * L + br rank.
template <typename T>
std::vector<Ranked<T>> best_pairs(
    const Corners<T>& tl, const Corners<T>& br, T threshold, int64_t max_pairs) {
  const auto by_label = [](const RankedCorner<T>& a, const RankedCorner<T>& b) {
    return a.label < b.label;
  };
  std::vector<RankedCorner<T>> partners = br.by_rank;
  std::stable_sort(partners.begin(), partners.end(), by_label);

  const int64_t count = static_cast<int64_t>(br.by_rank.size());
  TopK<T> best(max_pairs, -std::numeric_limits<T>::infinity());
  for (const RankedCorner<T>& a : tl.by_rank) {
    if (a.label < 0) {
      continue;
    }
    const auto range = std::equal_range(partners.begin(), partners.end(), a, by_label);
    for (auto b = range.first; b != range.second; ++b) {
      const T score = pair_score<T>(a, *b);
      // Written so that a NaN anywhere fails.
      if (score > best.threshold() && makes_box<T>(a, *b) &&
          embedding_distance(tl.embedding(a), br.embedding(*b), tl.channels) <= threshold) {
        best.offer(score, a.rank * count + b->rank);
      }
    }
  }
  std::vector<Ranked<T>> pairs = best.kept();
  keep_best(pairs, max_pairs);
  return pairs;
}

template <typename T>
void decode(const CornerDecode& task) {
  T* boxes = static_cast<T*>(task.boxes);
  T* scores = static_cast<T*>(task.scores);
  const T threshold = static_cast<T>(task.distance_threshold);
  const int64_t br_count = task.kinds[1].count;
  at::parallel_for(0, task.n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; ++image) {
      const Corners<T> tl = gather<T>(task, 0, image);
      const Corners<T> br = gather<T>(task, 1, image);
      int64_t row = image * task.max_pairs;
      for (const Ranked<T>& pair : best_pairs(tl, br, threshold, task.max_pairs)) {
        const Corner<T>& a = tl.by_rank[pair.rank / br_count];
        const Corner<T>& b = br.by_rank[pair.rank % br_count];
        boxes[4 * row] = a.x;
        boxes[4 * row + 1] = a.y;
        boxes[4 * row + 2] = b.x;
        boxes[4 * row + 3] = b.y;
        scores[row] = pair.score;
        task.labels[row] = a.label;
        ++row;
      }
      const int64_t rest = (image + 1) * task.max_pairs - row;
      std::fill_n(boxes + 4 * row, 4 * rest, T(0));
      std::fill_n(scores + row, rest, T(-1));
      std::fill_n(task.labels + row, rest, int64_t{-1});
    }
  });
}

CornerDecodeArgs::Result corner_decode(CornerDecodeArgs args) {
  if (!args.empty()) {
    args.convert();
    dispatch_computation(args.dtype, [&](auto* type) {
      decode<std::remove_pointer_t<decltype(type)>>(args.pointers());
    });
  }
  return args.results();
}

TORCH_LIBRARY_IMPL(cornernet, CPU, m) {
  implement<CornerDecodeArgs, &corner_decode>(m);
}

}  // namespace
}  // namespace cornernet::cpu
