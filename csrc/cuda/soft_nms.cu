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
    return index >= 0 &&
           (other.index < 0 || score > other.score ||
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

// Boxes times their weights, and the weights.
template <typename T>
struct Weighted {
  T values[5];  // x1, y1, x2, y2, weight

  __device__ void add(const Box<T>& box, T weight) {
    values[0] += box.x1 * weight;
    values[1] += box.y1 * weight;
    values[2] += box.x2 * weight;
    values[3] += box.y2 * weight;
    values[4] += weight;
  }
};

// The sum over the block's threads, for the first of them. The order of adding up is fixed.
template <typename T>
__device__ Weighted<T> sum_of_block(Weighted<T> sum) {
  __shared__ Weighted<T> sums[kWarps];
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
__global__ void __launch_bounds__(kThreads) suppress(SoftNms<T> task) {
  const int64_t image = blockIdx.x;
  const int64_t count = task.candidates;
  const T* boxes = task.boxes + 4 * image * count;
  const T* scores = task.scores + image * count;
  const int64_t* labels = task.labels + image * count;
  T* left = task.left + image * count;  // -inf: picked, dropped or never a candidate
  const T gone = static_cast<T>(-INFINITY);

  Best<T> best = no_best<T>();
  for (int64_t i = threadIdx.x; i < count; i += kThreads) {
    const bool wanted = labels[i] >= 0 && scores[i] >= task.min_score && scores[i] > gone;
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
    Weighted<T> merged{};
    for (int64_t i = threadIdx.x; i < count; i += kThreads) {
      T score = left[i];
      if (score == gone) {
        continue;
      }
      if (i == picked.index) {
        left[i] = gone;
        merged.add(box, scores[i] > 0 ? scores[i] : T(0));
        continue;
      }
      if (labels[i] == label) {
        const Box<T> other = box_at(boxes, i);
        const T overlap = box_iou(box, other);
        T factor = 1;
        if (overlap > 0 || task.iou_threshold <= 0) {
          factor = suppression_factor(task.method, overlap, task.iou_threshold, task.sigma);
          if (task.merge_exponent > 0) {
            const T weight = scores[i] * std::pow(1 - factor, task.merge_exponent);
            if (weight > 0) {
              merged.add(other, weight);
            }
          }
          score *= factor;
        }
        if (!(factor > 0 && score >= task.min_score)) {
          left[i] = gone;
          continue;
        }
        left[i] = score;
      }
      const Best<T> own{score, i};
      best = own.better_than(best) ? own : best;
    }

    Box<T> reported = box;
    if (task.merge_exponent > 0) {
      merged = sum_of_block(merged);
      const T weight = merged.values[4];
      if (weight > 0) {
        reported = {
            merged.values[0] / weight, merged.values[1] / weight, merged.values[2] / weight,
            merged.values[3] / weight};
      }
    }
    if (threadIdx.x == 0) {
      const int64_t at = image * task.limit + pick;
      task.picked_index[at] = picked.index;
      task.picked_scores[at] = picked.score;
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
cudaError_t launch(cudaStream_t stream, const SoftNms<T>& task) {
  if (!fits_grid(task.images)) {
    return cudaErrorInvalidConfiguration;
  }
  const auto kernel = suppress<T>;
  CUDA_LAUNCH(kernel, task.images, kThreads, stream, task);
  return cudaGetLastError();
}

}  // namespace

cudaError_t soft_nms_cuda(cudaStream_t stream, const SoftNms<float>& task) {
  return launch(stream, task);
}
cudaError_t soft_nms_cuda(cudaStream_t stream, const SoftNms<double>& task) {
  return launch(stream, task);
}

}  // namespace cornernet::cuda
