// The best k of a stream of values by their bits, in scratchpad.
#pragma once

#include "element.h"

namespace cornernet::sdaa {

struct Ranked {
  int bits;  // of the value
  int rank;  // of equal values the lower rank is the better
};

// A heap with the worst on top. Holds no value that is not above -infinity.
template <typename T>
class TopK {
 public:
  __device__ TopK(Ranked* heap, int k) : heap_(heap), k_(k), count_(0), threshold_(-T::kInfinity) {}

  // The key that a value of higher rank than all before has to exceed.
  __device__ int threshold() const { return threshold_; }
  __device__ int count() const { return count_; }
  __device__ const Ranked* kept() const { return heap_; }

  __device__ void offer(Ranked value) {
    if (count_ < k_) {
      rise(count_++, value);
    } else if (better(value, heap_[0])) {
      sink(0, count_, value);
    } else {
      return;
    }
    if (count_ == k_) {
      threshold_ = key_of<T>(heap_[0].bits);
    }
  }

  // From the best to the worst; nothing can be offered afterwards.
  __device__ void sort() {
    for (int end = count_ - 1; end > 0; --end) {
      const Ranked last = heap_[end];
      heap_[end] = heap_[0];
      sink(0, end, last);
    }
  }

 private:
  __device__ static bool better(const Ranked& a, const Ranked& b) {
    const int key_a = key_of<T>(a.bits);
    const int key_b = key_of<T>(b.bits);
    return key_a > key_b || (key_a == key_b && a.rank < b.rank);
  }

  __device__ void rise(int at, Ranked value) {
    for (int parent = (at - 1) / 2; at > 0 && better(heap_[parent], value); parent = (at - 1) / 2) {
      heap_[at] = heap_[parent];
      at = parent;
    }
    heap_[at] = value;
  }

  __device__ void sink(int at, int count, Ranked value) {
    for (int child = 2 * at + 1; child < count; child = 2 * at + 1) {
      if (child + 1 < count && better(heap_[child], heap_[child + 1])) {
        ++child;
      }
      if (!better(value, heap_[child])) {
        break;
      }
      heap_[at] = heap_[child];
      at = child;
    }
    heap_[at] = value;
  }

  Ranked* heap_;
  int k_;
  int count_;
  int threshold_;
};

}  // namespace cornernet::sdaa
