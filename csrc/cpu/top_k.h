// The best k of a stream of scores, and the score that a newcomer has to exceed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace cornernet {

template <typename T>
struct Ranked {
  T score;
  int64_t rank;  // of equal scores the lower rank is the better
};

template <typename T>
bool better(const Ranked<T>& a, const Ranked<T>& b) {
  return a.score > b.score || (a.score == b.score && a.rank < b.rank);
}

// Offers have to come in the order of their ranks. Then an equal score never replaces another, and
// threshold() alone says whether an offer can be of interest.
template <typename T>
class TopK {
 public:
  explicit TopK(int64_t k) : k_(static_cast<size_t>(k)) {}

  // Only scores above this can enter; -inf while there is room, and -inf itself never enters.
  T threshold() const { return threshold_; }

  void offer(T score, int64_t rank) {
    if (!(score > threshold_)) {
      return;
    }
    if (heap_.size() == k_) {
      std::pop_heap(heap_.begin(), heap_.end(), better<T>);
      heap_.back() = {score, rank};
    } else {
      heap_.push_back({score, rank});
    }
    std::push_heap(heap_.begin(), heap_.end(), better<T>);
    if (heap_.size() == k_) {
      threshold_ = heap_.front().score;  // the worst that is kept
    }
  }

  // In no particular order.
  const std::vector<Ranked<T>>& kept() const { return heap_; }

 private:
  size_t k_;
  T threshold_ = -std::numeric_limits<T>::infinity();
  std::vector<Ranked<T>> heap_;
};

// Orders candidates from the best on and drops all but the first k.
template <typename T>
void keep_best(std::vector<Ranked<T>>& candidates, int64_t k) {
  const auto count = std::min(candidates.size(), static_cast<size_t>(k));
  const auto end = candidates.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(candidates.begin(), end, candidates.end(), better<T>);
  candidates.resize(count);
}

}  // namespace cornernet
