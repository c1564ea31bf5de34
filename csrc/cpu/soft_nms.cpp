// soft_nms on the CPU: contract in cornernet_ops/soft_nms.py.
//
// Classes leave each other alone, so each is a list of its own with its best candidate at hand; the
// next pick is the best of these. Only the picked class's list is gone through again: the overlaps in
// vectors, then the scores of the few that overlap; what falls below the minimum leaves the list, and
// its next best is found on the way.

#include "../common/soft_nms.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <queue>
#include <tuple>
#include <type_traits>
#include <vector>

#include "../common/soft_nms_args.h"
#include "simd.h"

namespace cornernet::cpu {
namespace {

template <typename T>
struct Settings {
  Suppression method;
  T iou_threshold;
  T sigma;
  T min_score;
  T merge_exponent;
};

// Higher score first; of equal scores the lower index.
template <typename T>
bool better(T score, int64_t index, T other_score, int64_t other_index) {
  return score > other_score || (score == other_score && index < other_index);
}

// Sums of boxes by their weights, and what they come to.
template <typename T>
struct WeightedBoxes {
  Box<T> sum{0, 0, 0, 0};
  T weight_sum = 0;

  void add(const Box<T>& box, T weight) {
    if (weight > 0) {
      sum.x1 += box.x1 * weight;
      sum.y1 += box.y1 * weight;
      sum.x2 += box.x2 * weight;
      sum.y2 += box.y2 * weight;
      weight_sum += weight;
    }
  }

  Box<T> mean(const Box<T>& otherwise) const {
    if (!(weight_sum > 0)) {
      return otherwise;
    }
    return {sum.x1 / weight_sum, sum.y1 / weight_sum, sum.x2 / weight_sum, sum.y2 / weight_sum};
  }
};

// The candidates of a class that may still be picked: places in Candidates' rows.
struct ClassRange {
  size_t begin;
  size_t count;
  size_t best;
};

// The candidates of an image, class by class and in each in the order of their indices. Each quantity
// lies in a row of its own, so that the overlaps of a pick are computed in vectors.
template <typename T>
class Candidates {
 public:
  Candidates(
      const T* boxes, const T* scores, const int64_t* labels, int64_t count, T min_score) {
    for (int64_t i = 0; i < count; ++i) {
      if (labels[i] >= 0 && scores[i] >= min_score && scores[i] > -INFINITY) {
        index_.push_back(i);
      }
    }
    std::stable_sort(index_.begin(), index_.end(), [&](int64_t a, int64_t b) {
      return labels[a] < labels[b];
    });
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
  Box<T> pick(ClassRange& range, const Settings<T>& settings) {
    const Box<T> picked = box(range.best);
    find_overlaps(picked, range);
    const bool merges = settings.merge_exponent > 0;
    WeightedBoxes<T> merged;
    merged.add(picked, first_score_[range.best]);
    size_t kept = range.begin;
    size_t next = range.begin;
    for (size_t i = range.begin; i < range.begin + range.count; ++i) {
      if (i == range.best) {
        continue;
      }
      T score = score_[i];
      // Most boxes do not overlap, and then no factor changes their scores.
      if (overlap_[i] > 0 || settings.iou_threshold <= 0) {
        const T factor = suppression_factor(
            settings.method, overlap_[i], settings.iou_threshold, settings.sigma);
        if (merges) {
          const T weight = first_score_[i] * std::pow(1 - factor, settings.merge_exponent);
          merged.add(box(i), weight);
        }
        score *= factor;
        if (!(factor > 0 && score >= settings.min_score)) {
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
    return merges ? merged.mean(picked) : picked;
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

  std::vector<T> x1_, y1_, x2_, y2_, score_, first_score_, overlap_;
  std::vector<int64_t> index_;
  std::vector<ClassRange> classes_;
};

// One image; the outputs hold what stands for no detection.
template <typename T>
void suppress(
    const T* boxes, const T* scores, const int64_t* labels, int64_t count,
    const Settings<T>& settings, int64_t limit, int64_t* picked_index, T* picked_boxes,
    T* picked_scores) {
  Candidates<T> candidates(boxes, scores, labels, count, settings.min_score);
  const auto worse = [&](const ClassRange* a, const ClassRange* b) {
    return better(
        candidates.best_score(*b), candidates.best_index(*b), candidates.best_score(*a),
        candidates.best_index(*a));
  };
  std::priority_queue<ClassRange*, std::vector<ClassRange*>, decltype(worse)> queue(worse);
  for (ClassRange& range : candidates.classes()) {
    queue.push(&range);
  }
  for (int64_t pick = 0; pick < limit && !queue.empty(); ++pick) {
    ClassRange* range = queue.top();
    queue.pop();
    picked_index[pick] = candidates.best_index(*range);
    picked_scores[pick] = candidates.best_score(*range);
    const Box<T> box = candidates.pick(*range, settings);
    picked_boxes[4 * pick] = box.x1;
    picked_boxes[4 * pick + 1] = box.y1;
    picked_boxes[4 * pick + 2] = box.x2;
    picked_boxes[4 * pick + 3] = box.y2;
    if (range->count > 0) {
      queue.push(range);
    }
  }
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> soft_nms(
    const at::Tensor& boxes, const at::Tensor& scores, const at::Tensor& labels,
    const std::string& method, double iou_threshold, double sigma, double min_score,
    int64_t max_detections, double merge_exponent) {
  check_soft_nms(boxes, scores, labels, sigma, max_detections, merge_exponent);
  const Suppression suppression = suppression_of(method);
  const bool wide = boxes.scalar_type() == at::kDouble || scores.scalar_type() == at::kDouble;
  const at::ScalarType dtype = wide ? at::kDouble : at::kFloat;
  const int64_t n = boxes.size(0);
  const int64_t count = boxes.size(1);
  const at::TensorOptions options = boxes.options().dtype(dtype);
  at::Tensor picked_index = at::full({n, max_detections}, -1, labels.options());
  at::Tensor picked_boxes = at::zeros({n, max_detections, 4}, options);
  at::Tensor picked_scores = at::full({n, max_detections}, -1, options);

  const auto run = [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const at::Tensor held_boxes = boxes.to(dtype).contiguous();
    const at::Tensor held_scores = scores.to(dtype).contiguous();
    const at::Tensor held_labels = labels.contiguous();
    const Settings<T> settings{
        suppression, static_cast<T>(iou_threshold), static_cast<T>(sigma),
        static_cast<T>(min_score), static_cast<T>(merge_exponent)};
    const T* box = held_boxes.const_data_ptr<T>();
    const T* score = held_scores.const_data_ptr<T>();
    const int64_t* label = held_labels.const_data_ptr<int64_t>();
    int64_t* out_index = picked_index.mutable_data_ptr<int64_t>();
    T* out_boxes = picked_boxes.mutable_data_ptr<T>();
    T* out_scores = picked_scores.mutable_data_ptr<T>();
    at::parallel_for(0, n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        suppress(
            box + 4 * i * count, score + i * count, label + i * count, count, settings,
            max_detections, out_index + i * max_detections, out_boxes + 4 * i * max_detections,
            out_scores + i * max_detections);
      }
    });
  };
  if (wide) {
    run(static_cast<double*>(nullptr));
  } else {
    run(static_cast<float*>(nullptr));
  }
  return {picked_index, picked_boxes, picked_scores};
}

}  // namespace
}  // namespace cornernet::cpu

TORCH_LIBRARY_IMPL(cornernet, CPU, m) { m.impl("soft_nms", &cornernet::cpu::soft_nms); }
