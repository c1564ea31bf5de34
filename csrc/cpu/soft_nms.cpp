// soft_nms on the CPU: contract in cornernet_ops/soft_nms.py.
//
// Classes do not affect each other, so each is a list of its own that keeps its best candidate; the
// next pick is the best of these. Only the picked class's list is gone through again: the overlaps
// in vectors, then the scores of the few that overlap; what falls below the minimum leaves the
// list, and its next best is found on the way.

#include "../common/soft_nms.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <queue>
#include <type_traits>
#include <vector>

#include "../common/soft_nms_args.h"
#include "launch.h"
#include "simd.h"

namespace cornernet::cpu {
namespace {

// Higher score first; of equal scores the lower index.
template <typename T>
bool better(T score, int64_t index, T other_score, int64_t other_index) {
  return score > other_score || (score == other_score && index < other_index);
}

// The candidates of a class that may still be picked: places in Candidates' rows.
struct ClassRange {
  size_t begin;
  size_t count;
  size_t best;
};

// The candidates of an image, class by class and in each in the order of their indices. Each
// quantity lies in a row of its own, so that the overlaps of a pick are computed in vectors.
template <typename T>
class Candidates {
 public:
  Candidates(const SoftNms<T>& nms, int64_t image) : nms_(nms) {
    const T* boxes = nms.boxes + 4 * image * nms.candidates;
    const T* scores = nms.scores + image * nms.candidates;
    const int64_t* labels = nms.labels + image * nms.candidates;
    for (int64_t i = 0; i < nms.candidates; ++i) {
      if (nms.is_candidate(labels[i], scores[i])) {
        index_.push_back(i);
      }
    }
    std::stable_sort(
        index_.begin(), index_.end(), [&](int64_t a, int64_t b) { return labels[a] < labels[b]; });
    const size_t total = index_.size();
    for (auto* row : {&x1_, &y1_, &x2_, &y2_, &score_, &overlap_}) {
      row->resize(total);
    }
    for (size_t i = 0; i < total; ++i) {
      const int64_t from = index_[i];
      x1_[i] = boxes[4 * from];
      y1_[i] = boxes[4 * from + 1];
      x2_[i] = boxes[4 * from + 2];
      y2_[i] = boxes[4 * from + 3];
      score_[i] = scores[from];
      if (i == 0 || labels[from] != labels[index_[i - 1]]) {
        classes_.push_back({i, 0, i});
      }
      ClassRange& range = classes_.back();
      ++range.count;
      if (score_[i] > score_[range.best]) {  // of equal scores the first has the lower index
        range.best = i;
      }
    }
    first_score_ = score_;
  }

  std::vector<ClassRange>& classes() { return classes_; }
  T best_score(const ClassRange& range) const { return score_[range.best]; }
  int64_t best_index(const ClassRange& range) const { return index_[range.best]; }

  // Takes a class's best candidate out, lowers its others, and returns the box to report.
  Box<T> pick(ClassRange& range) {
    const Box<T> picked = box(range.best);
    find_overlaps(picked, range);
    WeightedBoxes<T> merged{};
    merged.add(picked, first_score_[range.best]);
    size_t kept = range.begin;
    size_t next = range.begin;
    for (size_t i = range.begin; i < range.begin + range.count; ++i) {
      if (i == range.best) {
        continue;
      }
      T score = score_[i];
      if (nms_.lowers(overlap_[i])) {
        score = nms_.lowered_score(overlap_[i], box(i), first_score_[i], score, merged);
        if (score == -INFINITY) {
          continue;
        }
      }
      keep(i, kept, score);
      if (score > score_[next]) {
        next = kept;
      }
      ++kept;
    }
    range.count = kept - range.begin;
    range.best = next;
    return nms_.merges() ? merged.mean(picked) : picked;
  }

 private:
  Box<T> box(size_t i) const { return {x1_[i], y1_[i], x2_[i], y2_[i]}; }

  void find_overlaps(const Box<T>& picked, const ClassRange& range) {
    const size_t count = range.count;
    const T* __restrict x1 = x1_.data() + range.begin;
    const T* __restrict y1 = y1_.data() + range.begin;
    const T* __restrict x2 = x2_.data() + range.begin;
    const T* __restrict y2 = y2_.data() + range.begin;
    T* __restrict overlap = overlap_.data() + range.begin;
    vectorized([=]() CORNERNET_INLINE_LAMBDA {
      for (size_t i = 0; i < count; ++i) {
        overlap[i] = box_iou(picked, {x1[i], y1[i], x2[i], y2[i]});
      }
    });
  }

  void keep(size_t from, size_t to, T score) {
    score_[to] = score;
    if (from != to) {
      x1_[to] = x1_[from];
      y1_[to] = y1_[from];
      x2_[to] = x2_[from];
      y2_[to] = y2_[from];
      first_score_[to] = first_score_[from];
      index_[to] = index_[from];
    }
  }

  const SoftNms<T>& nms_;
  std::vector<T> x1_, y1_, x2_, y2_, score_, first_score_, overlap_;
  std::vector<int64_t> index_;
  std::vector<ClassRange> classes_;
};

template <typename T>
void suppress(const SoftNms<T>& nms, int64_t image) {
  Candidates<T> candidates(nms, image);
  const auto worse = [&](const ClassRange* a, const ClassRange* b) {
    return better(
        candidates.best_score(*b), candidates.best_index(*b), candidates.best_score(*a),
        candidates.best_index(*a));
  };
  std::priority_queue<ClassRange*, std::vector<ClassRange*>, decltype(worse)> queue(worse);
  for (ClassRange& range : candidates.classes()) {
    queue.push(&range);
  }
  int64_t pick = image * nms.limit;
  const int64_t end = pick + nms.limit;
  for (; pick < end && !queue.empty(); ++pick) {
    ClassRange* range = queue.top();
    queue.pop();
    nms.picked_index[pick] = candidates.best_index(*range);
    nms.picked_scores[pick] = candidates.best_score(*range);
    const Box<T> box = candidates.pick(*range);
    nms.picked_boxes[4 * pick] = box.x1;
    nms.picked_boxes[4 * pick + 1] = box.y1;
    nms.picked_boxes[4 * pick + 2] = box.x2;
    nms.picked_boxes[4 * pick + 3] = box.y2;
    if (range->count > 0) {
      queue.push(range);
    }
  }
  std::fill(nms.picked_index + pick, nms.picked_index + end, int64_t{-1});
  std::fill(nms.picked_scores + pick, nms.picked_scores + end, T(-1));
  std::fill(nms.picked_boxes + 4 * pick, nms.picked_boxes + 4 * end, T(0));
}

SoftNmsArgs::Result soft_nms(SoftNmsArgs args) {
  args.convert();
  dispatch_computation(args.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const SoftNms<T> nms = args.pointers<T>();
    at::parallel_for(0, nms.images, 1, [&](int64_t begin, int64_t end) {
      for (int64_t image = begin; image < end; ++image) {
        suppress(nms, image);
      }
    });
  });
  return args.results();
}

TORCH_LIBRARY_IMPL(cornernet, CPU, m) {
  implement<SoftNmsArgs, &soft_nms>(m);
}

}  // namespace
}  // namespace cornernet::cpu
