// soft_nms on the CPU: contract in cornernet_ops/soft_nms.py.
//
// Classes leave each other alone, so each is a list of its own with its best candidate at hand; the
// next pick is the best of these. Only the picked class's list is gone through again: its scores are
// lowered, what falls below the minimum leaves it, and its next best is found on the way.

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

namespace cornernet {
namespace {

template <typename T>
struct Settings {
  Suppression method;
  T iou_threshold;
  T sigma;
  T min_score;
  T merge_exponent;
};

template <typename T>
struct Candidate {
  Box<T> box;
  T score;
  T first_score;
  int64_t index;
};

// Higher score first; of equal scores the lower index.
template <typename T>
bool better(T score, int64_t index, T other_score, int64_t other_index) {
  return score > other_score || (score == other_score && index < other_index);
}

// The candidates of one class that may still be picked, in the order of their indices.
template <typename T>
class ClassList {
 public:
  void add(const Candidate<T>& candidate) {
    if (list_.empty() || better(candidate.score, candidate.index, best().score, best().index)) {
      best_ = list_.size();
    }
    list_.push_back(candidate);
  }

  bool empty() const { return list_.empty(); }
  const Candidate<T>& best() const { return list_[best_]; }

  // Takes the best candidate out, lowers the others, and returns the box to report.
  Box<T> pick(const Settings<T>& settings) {
    const Candidate<T> picked = best();
    T weight_sum = picked.first_score > 0 ? picked.first_score : T(0);
    Box<T> sum{
        picked.box.x1 * weight_sum, picked.box.y1 * weight_sum, picked.box.x2 * weight_sum,
        picked.box.y2 * weight_sum};
    size_t kept = 0;
    size_t next = 0;
    for (const Candidate<T>& from : list_) {
      if (from.index == picked.index) {
        continue;
      }
      Candidate<T> candidate = from;
      const T overlap = box_iou(picked.box, candidate.box);
      T factor = 1;
      if (overlap > 0 || settings.iou_threshold <= 0) {
        factor = suppression_factor(
            settings.method, overlap, settings.iou_threshold, settings.sigma);
        if (settings.merge_exponent > 0) {
          const T weight =
              candidate.first_score * std::pow(1 - factor, settings.merge_exponent);
          if (weight > 0) {
            weight_sum += weight;
            sum.x1 += candidate.box.x1 * weight;
            sum.y1 += candidate.box.y1 * weight;
            sum.x2 += candidate.box.x2 * weight;
            sum.y2 += candidate.box.y2 * weight;
          }
        }
        candidate.score *= factor;
      }
      if (factor > 0 && candidate.score >= settings.min_score) {
        list_[kept] = candidate;
        if (kept == 0 ||
            better(candidate.score, candidate.index, list_[next].score, list_[next].index)) {
          next = kept;
        }
        ++kept;
      }
    }
    list_.resize(kept);
    best_ = next;
    if (settings.merge_exponent > 0 && weight_sum > 0) {
      return {
          sum.x1 / weight_sum, sum.y1 / weight_sum, sum.x2 / weight_sum, sum.y2 / weight_sum};
    }
    return picked.box;
  }

 private:
  std::vector<Candidate<T>> list_;
  size_t best_ = 0;
};

// One picture; the outputs hold what stands for no detection.
template <typename T>
void suppress(
    const T* boxes, const T* scores, const int64_t* labels, int64_t count,
    const Settings<T>& settings, int64_t limit, int64_t* picked_index, T* picked_boxes,
    T* picked_scores) {
  std::vector<int64_t> order;
  order.reserve(count);
  for (int64_t i = 0; i < count; ++i) {
    if (labels[i] >= 0 && scores[i] >= settings.min_score && scores[i] > -INFINITY) {
      order.push_back(i);
    }
  }
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return labels[a] < labels[b];
  });
  std::vector<ClassList<T>> classes;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || labels[order[i]] != labels[order[i - 1]]) {
      classes.emplace_back();
    }
    const int64_t index = order[i];
    const T* box = boxes + 4 * index;
    classes.back().add(
        {{box[0], box[1], box[2], box[3]}, scores[index], scores[index], index});
  }

  const auto worse = [&](size_t a, size_t b) {
    const Candidate<T>& other = classes[b].best();
    const Candidate<T>& one = classes[a].best();
    return better(other.score, other.index, one.score, one.index);
  };
  std::priority_queue<size_t, std::vector<size_t>, decltype(worse)> queue(worse);
  for (size_t i = 0; i < classes.size(); ++i) {
    queue.push(i);
  }
  for (int64_t pick = 0; pick < limit && !queue.empty(); ++pick) {
    ClassList<T>& list = classes[queue.top()];
    const size_t number = queue.top();
    queue.pop();
    picked_index[pick] = list.best().index;
    picked_scores[pick] = list.best().score;
    const Box<T> box = list.pick(settings);
    picked_boxes[4 * pick] = box.x1;
    picked_boxes[4 * pick + 1] = box.y1;
    picked_boxes[4 * pick + 2] = box.x2;
    picked_boxes[4 * pick + 3] = box.y2;
    if (!list.empty()) {
      queue.push(number);
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
}  // namespace cornernet

TORCH_LIBRARY_IMPL(cornernet, CPU, m) { m.impl("soft_nms", &cornernet::soft_nms); }
