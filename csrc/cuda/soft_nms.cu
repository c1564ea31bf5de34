// soft_nms on CUDA: contract in cornernet_ops/soft_nms.py.
//
// One pick follows from the one before, so an image is one block's, and no result goes to the host
// in between. While its threads lower the scores of the candidates, each its own, they find the
// best that is left, which is the next pick.

#include "soft_nms.h"

#include <cmath>

#include "launch.h"

namespace cornernet::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;

// A candidate, and what was left of its score; index -1, below all others: none.
template <typename T>
struct Best {
  T score;
  int64_t index;

  // Higher score first; of equal scores the lower index.
  __device__ bool better_than(const Best& other) const {
    return index >= 0 && (other.index < 0 || score > other.score ||
                          (score == other.score && index < other.index));
  }
};

template <typename T>
__device__ Best<T> no_best() {
  return {T(0), -1};
}

// The best of the block's threads, for all of them.
template <typename T>
__device__ Best<T> best_of_block(Best<T> best) {
  __shared__ Best<T> bests[kWarps];
  for (int bits = kWarp / 2; bits > 0; bits /= 2) {
    const Best<T> other{
        __shfl_xor_sync(kWholeWarp, best.score, bits),
        __shfl_xor_sync(kWholeWarp, best.index, bits)};
    best = other.better_than(best) ? other : best;
  }
  __syncthreads();  // the last call's have been read
  if (threadIdx.x % kWarp == 0) {
    bests[threadIdx.x / kWarp] = best;
  }
  __syncthreads();
  for (int warp = 0; warp < kWarps; ++warp) {
    best = bests[warp].better_than(best) ? bests[warp] : best;
  }
  return best;
}

// The sum over the block's threads, for the first of them. The order of adding up is fixed.
template <typename T>
__device__ WeightedBoxes<T> sum_of_block(WeightedBoxes<T> sum) {
  __shared__ WeightedBoxes<T> sums[kWarps];
#pragma unroll
  for (int i = 0; i < 5; ++i) {
    for (int bits = kWarp / 2; bits > 0; bits /= 2) {
      sum.values[i] += __shfl_xor_sync(kWholeWarp, sum.values[i], bits);
    }
  }
  __syncthreads();  // the last call's have been read
  if (threadIdx.x % kWarp == 0) {
    sums[threadIdx.x / kWarp] = sum;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int warp = 1; warp < kWarps; ++warp) {
#pragma unroll
      for (int i = 0; i < 5; ++i) {
        sum.values[i] += sums[warp].values[i];
      }
    }
  }
  return sum;
}

template <typename T>
__device__ Box<T> box_at(const T* boxes, int64_t index) {
  const T* box = boxes + 4 * index;
  return {box[0], box[1], box[2], box[3]};
}

// A block for each image.
template <typename T>
__global__ void __launch_bounds__(kThreads) suppress(SoftNms<T> task, T* left) {
  const int64_t image = blockIdx.x;
  const int64_t count = task.candidates;
  const T* boxes = task.boxes + 4 * image * count;
  const T* scores = task.scores + image * count;
  const int64_t* labels = task.labels + image * count;
  left += image * count;  // -inf: picked, dropped or never a candidate
  const T gone = static_cast<T>(-INFINITY);

  Best<T> best = no_best<T>();
  for (int64_t i = threadIdx.x; i < count; i += kThreads) {
    const bool wanted = task.is_candidate(labels[i], scores[i]);
    left[i] = wanted ? scores[i] : gone;
    const Best<T> own{scores[i], i};
    best = wanted && own.better_than(best) ? own : best;
  }

  int64_t pick = 0;
  for (; pick < task.limit; ++pick) {
    const Best<T> picked = best_of_block(best);
    if (picked.index < 0) {
      break;  // for all threads of the block
    }
    const Box<T> box = box_at(boxes, picked.index);
    const int64_t label = labels[picked.index];
    best = no_best<T>();
    WeightedBoxes<T> merged{};
    for (int64_t i = threadIdx.x; i < count; i += kThreads) {
      T score = left[i];
      if (score == gone) {
        continue;
      }
      if (i == picked.index) {
        left[i] = gone;
        merged.add(box, scores[i]);
        continue;
      }
      if (labels[i] == label) {
        const Box<T> other = box_at(boxes, i);
        const T overlap = box_iou(box, other);
        if (task.lowers(overlap)) {
          score = task.lowered_score(overlap, other, scores[i], score, merged);
          left[i] = score;
          if (score == gone) {
            continue;
          }
        }
      }
      const Best<T> own{score, i};
      best = own.better_than(best) ? own : best;
    }

    if (task.merges()) {
      merged = sum_of_block(merged);
    }
    if (threadIdx.x == 0) {
      const int64_t at = image * task.limit + pick;
      task.picked_index[at] = picked.index;
      task.picked_scores[at] = picked.score;
      const Box<T> reported = task.merges() ? merged.mean(box) : box;
      task.picked_boxes[4 * at] = reported.x1;
      task.picked_boxes[4 * at + 1] = reported.y1;
      task.picked_boxes[4 * at + 2] = reported.x2;
      task.picked_boxes[4 * at + 3] = reported.y2;
    }
  }

  for (pick += threadIdx.x; pick < task.limit; pick += kThreads) {
    const int64_t at = image * task.limit + pick;
    task.picked_index[at] = -1;
    task.picked_scores[at] = T(-1);
    for (int side = 0; side < 4; ++side) {
      task.picked_boxes[4 * at + side] = T(0);
    }
  }
}

template <typename T>
cudaError_t launch(cudaStream_t stream, const SoftNms<T>& task, T* left) {
  if (!fits_grid(task.images)) {
    return cudaErrorInvalidConfiguration;
  }
  const auto kernel = suppress<T>;
  CUDA_LAUNCH(kernel, task.images, kThreads, stream, task, left);
  return cudaGetLastError();
}

}  // namespace

cudaError_t launch_soft_nms(cudaStream_t stream, const SoftNms<float>& task, float* left) {
  return launch(stream, task, left);
}
cudaError_t launch_soft_nms(cudaStream_t stream, const SoftNms<double>& task, double* left) {
  return launch(stream, task, left);
}

}  // namespace cornernet::cuda
