// The best k of a stream of scores, and the score that a newcomer has to exceed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cornernet::cpu {

template <typename Score>
struct Ranked {
  Score score;
  int64_t rank;  // of equal scores the lower rank is the better
};

// A type and not a function, which sorting would call through a pointer.
struct Better {
  template <typename Score>
  bool operator()(const Ranked<Score>& a, const Ranked<Score>& b) const {
    return a.score > b.score || (a.score == b.score && a.rank < b.rank);
  }
};

// Drops all but the best k, which are left in no particular order but for the last, the worst.
template <typename Score>
void drop_rest(std::vector<Ranked<Score>>& candidates, int64_t k) {
  if (static_cast<int64_t>(candidates.size()) <= k) {
    return;
  }
  std::nth_element(candidates.begin(), candidates.begin() + (k - 1), candidates.end(), Better());
  candidates.resize(static_cast<size_t>(k));
}

// Drops all but the best k and orders these from the best on.
template <typename Score>
void keep_best(std::vector<Ranked<Score>>& candidates, int64_t k) {
  drop_rest(candidates, k);
  std::sort(candidates.begin(), candidates.end(), Better());
}

// Offers have to come in the order of their ranks. Then an equal score never replaces another, and
// threshold() alone says whether an offer can be of interest.
//
// Up to 2k offers are kept before the worse half goes: the threshold rises a little later than with
// a heap, but an offer costs a few nanoseconds whatever k is.
template <typename Score>
class TopK {
 public:
  // Only scores above `least` can enter.
  TopK(int64_t k, Score least) : k_(k), threshold_(least) {}

  Score threshold() const { return threshold_; }

  void offer(Score score, int64_t rank) {
    if (!(score > threshold_)) {
      return;
    }
    kept_.push_back({score, rank});
    if (static_cast<int64_t>(kept_.size()) - k_ == k_) {
      settle();
    }
  }

  // Whether there were k offers; then the threshold is the score of the k-th best.
  bool settle() {
    if (static_cast<int64_t>(kept_.size()) > k_) {
      drop_rest(kept_, k_);
      threshold_ = kept_.back().score;
    }
    return static_cast<int64_t>(kept_.size()) == k_;
  }

  // The best k and perhaps some more, in no particular order.
  const std::vector<Ranked<Score>>& kept() const { return kept_; }

 private:
  int64_t k_;
  Score threshold_;
  std::vector<Ranked<Score>> kept_;
};

}  // namespace cornernet::cpu
