// The launcher of soft_nms.cu: raw pointers, no torch. Contract in cornernet_ops/soft_nms.py.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "../common/soft_nms.h"

namespace cornernet::cuda {

template <typename T>
struct SoftNms {
  const T* boxes;         // [N, P, 4]
  const T* scores;        // [N, P]
  const int64_t* labels;  // [N, P]
  T* left;                // [N, P]: workspace
  int64_t* picked_index;  // [N, D]
  T* picked_boxes;        // [N, D, 4]
  T* picked_scores;       // [N, D]
  int64_t images;
  int64_t candidates;
  int64_t limit;  // D
  Suppression method;
  T iou_threshold;
  T sigma;
  T min_score;
  T merge_exponent;
};

// Writes all of picked_*. There is at least one image. Nothing is waited for, nothing allocated.
cudaError_t soft_nms_cuda(cudaStream_t stream, const SoftNms<float>& task);
cudaError_t soft_nms_cuda(cudaStream_t stream, const SoftNms<double>& task);

}  // namespace cornernet::cuda
