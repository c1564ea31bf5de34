// The best k of many candidates, by blocks of threads: each takes a part of them, and blocks that
// take what those have kept follow, until there is one. The order is total, so that it does not
// matter which thread comes first.
#pragma once

#include <cmath>
#include <cstdint>

#include "../common/arithmetic.h"
#include "element.h"
#include "launch.h"

namespace cornernet::cuda {

constexpr int kSelectThreads = 256;
// Candidates that a block holds; the best k of them, and those of one round.
constexpr int kMostSelected = 1024;
constexpr int kRound = 1024;
constexpr int kHeld = kMostSelected + kRound;
// Lists that a block merges.
constexpr int64_t kMerged = 16;

// Integers in the order of the values; both zeros are one. NaN lies above infinity.
__device__ inline uint32_t order_key(float value) {
  const uint32_t bits = __float_as_uint(value + 0.0F);
  return value != value ? 0xffffffffu : (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
}
__device__ inline uint64_t order_key(double value) {
  const uint64_t bits = static_cast<uint64_t>(__double_as_longlong(value + 0.0));
  return value != value ? ~uint64_t{0} : (bits >> 63) != 0 ? ~bits : bits | uint64_t{1} << 63;
}

// A score and an index below 2^32 - 1. The higher score is the better; of equal ones the lower
// index.
template <typename W>
struct Candidate;

template <>
struct Candidate<float> {
  uint64_t order;

  __device__ static Candidate of(float score, uint32_t index) {
    return {uint64_t{order_key(score)} << 32 | (0xffffffffu - index)};
  }
  __device__ uint32_t index() const { return 0xffffffffu - static_cast<uint32_t>(order); }
  __device__ bool better_than(const Candidate& other) const { return order > other.order; }
};

template <>
struct Candidate<double> {
  uint64_t key;
  uint64_t rest;

  __device__ static Candidate of(double score, uint32_t index) {
    return {order_key(score), 0xffffffffu - index};
  }
  __device__ uint32_t index() const { return 0xffffffffu - static_cast<uint32_t>(rest); }
  __device__ bool better_than(const Candidate& other) const {
    return key > other.key || (key == other.key && rest > other.rest);
  }
};

// Worse than every score but -inf, and better than that: what is no candidate.
template <typename W>
__device__ Candidate<W> no_candidate() {
  return Candidate<W>::of(static_cast<W>(-INFINITY), 0);
}

template <typename W>
struct Held {
  Candidate<W> candidates[kHeld];
  int count;
};

// What a block has kept so far. All threads call all functions but `offer`.
template <typename W>
class Selection {
 public:
  __device__ Selection(Held<W>& held, int k) : held_(held), k_(k), threshold_(no_candidate<W>()) {
    if (threadIdx.x == 0) {
      held_.count = 0;
    }
    __syncthreads();
  }

  __device__ bool wants(const Candidate<W>& candidate) const {
    return candidate.better_than(threshold_);
  }

  // By any thread, of a candidate that is wanted; kRound times a round at most.
  __device__ void offer(const Candidate<W>& candidate) {
    held_.candidates[atomicAdd(&held_.count, 1)] = candidate;
  }

  __device__ void end_round() {
    __syncthreads();
    const int count = held_.count;
    __syncthreads();
    if (count > kHeld - kRound) {
      settle();
    }
  }

  // Orders what was kept, the best first; returns how many there are, k at most.
  __device__ int settle() {
    __syncthreads();
    const int count = held_.count;
    int size = 1;
    while (size < count) {
      size *= 2;
    }
    for (int i = count + static_cast<int>(threadIdx.x); i < size; i += kSelectThreads) {
      held_.candidates[i] = no_candidate<W>();
    }
    __syncthreads();
    sort(size);
    const int kept = min(count, k_);
    if (threadIdx.x == 0) {
      held_.count = kept;
    }
    if (kept == k_) {
      threshold_ = held_.candidates[k_ - 1];
    }
    __syncthreads();
    return kept;
  }

 private:
  // Bitonic; size is a power of two.
  __device__ void sort(int size) {
    for (int run = 2; run <= size; run *= 2) {
      for (int distance = run / 2; distance > 0; distance /= 2) {
        for (int i = static_cast<int>(threadIdx.x); i < size / 2; i += kSelectThreads) {
          const int low = 2 * i - (i & (distance - 1));
          const Candidate<W> a = held_.candidates[low];
          const Candidate<W> b = held_.candidates[low + distance];
          const bool best_first = (low & run) == 0;
          if (best_first ? b.better_than(a) : a.better_than(b)) {
            held_.candidates[low] = b;
            held_.candidates[low + distance] = a;
          }
        }
        __syncthreads();
      }
    }
  }

  Held<W>& held_;
  int k_;
  Candidate<W> threshold_;
};

// Writes lists for the next blocks: [images, lists, k], filled up with what is no candidate.
template <typename W>
struct ListWriter {
  Candidate<W>* lists;
  int64_t count;  // of lists for each image
  int k;

  __device__ void operator()(int64_t image, int64_t list, int i, const Candidate<W>* best) const {
    lists[(image * count + list) * k + i] = best == nullptr ? no_candidate<W>() : *best;
  }
};

// Hands the k places of a block's result to a writer, with null where there are fewer.
template <typename W, typename Writer>
__device__ void write_selected(
    const Held<W>& held, int found, int k, int64_t image, int64_t list, const Writer& writer) {
  for (int i = static_cast<int>(threadIdx.x); i < k; i += kSelectThreads) {
    writer(image, list, i, i < found ? &held.candidates[i] : nullptr);
  }
}

// A block for every kMerged of an image's lists.
template <typename W, typename Writer>
__global__ void __launch_bounds__(kSelectThreads)
    merge_lists(const Candidate<W>* lists, int64_t count, int k, Writer writer) {
  __shared__ Held<W> held;
  const int64_t merged = ceil_div(count, kMerged);
  const int64_t image = blockIdx.x / merged;
  const int64_t list = blockIdx.x - image * merged;
  const int64_t first = list * kMerged;
  const Candidate<W>* from = lists + (image * count + first) * k;
  const int64_t candidates = min(kMerged, count - first) * k;
  Selection<W> selection(held, k);
  for (int64_t round = 0; round < candidates; round += kRound) {
#pragma unroll
    for (int i = 0; i < kRound / kSelectThreads; ++i) {
      const int64_t number = round + i * kSelectThreads + threadIdx.x;
      if (number < candidates && selection.wants(from[number])) {
        selection.offer(from[number]);
      }
    }
    selection.end_round();
  }
  write_selected(held, selection.settle(), k, image, list, writer);
}

// Lists of all levels for each image, from which `count` are merged into one.
inline int64_t lists_of_all_levels(int64_t count) {
  int64_t lists = 0;
  for (; count > 1; count = ceil_div(count, kMerged)) {
    lists += count;
  }
  return lists;
}

// Bytes for the lists of so many images, a multiple of 16.
template <typename W>
int64_t list_bytes(int64_t images, int64_t count, int64_t k) {
  const int64_t bytes = images * lists_of_all_levels(count) * k;
  return ceil_div<int64_t>(bytes * static_cast<int64_t>(sizeof(Candidate<W>)), 16) * 16;
}

// Runs `first`, which takes a writer and launches blocks that write `count` lists for each image,
// and then as many levels of merging as leave one list, which goes to `last`.
template <typename W, typename First, typename Writer>
cudaError_t select(
    cudaStream_t stream, int64_t images, int64_t count, int k, void* workspace, const First& first,
    const Writer& last) {
  if (!fits_grid(images * count)) {
    return cudaErrorInvalidConfiguration;
  }
  if (count <= 1) {
    first(last);
    return cudaGetLastError();
  }
  auto* lists = static_cast<Candidate<W>*>(workspace);
  first(ListWriter<W>{lists, count, k});
  cudaError_t error = cudaGetLastError();
  while (count > 1 && error == cudaSuccess) {
    const int64_t merged = ceil_div(count, kMerged);
    const int64_t blocks = images * merged;
    const Candidate<W>* from = lists;
    lists += images * count * k;
    if (merged > 1) {
      const auto kernel = merge_lists<W, ListWriter<W>>;
      const ListWriter<W> writer{lists, merged, k};
      CUDA_LAUNCH(kernel, blocks, kSelectThreads, stream, from, count, k, writer);
    } else {
      const auto kernel = merge_lists<W, Writer>;
      CUDA_LAUNCH(kernel, blocks, kSelectThreads, stream, from, count, k, last);
    }
    error = cudaGetLastError();
    count = merged;
  }
  return error;
}

}  // namespace cornernet::cuda
