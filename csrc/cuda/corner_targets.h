// The launcher of corner_targets.cu: raw pointers, no torch. Contract in
// cornernet_ops/corner_targets.py.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace cornernet::cuda {

// Contiguous tensors; of pairs, the first is of top-left corners, the second of bottom-right ones.
struct Targets {
  const float* boxes;    // [M, 4]
  const int64_t* labels;  // [M]
  const int64_t* images;  // [M]
  float* heat[2];         // [N, K, H, W], zeros
  float* offset[2];       // [N, 2, H, W], zeros
  float* mask[2];         // [N, 1, H, W], zeros
  int64_t* cell[2];       // [M]
  int32_t* last;          // [2, N, H, W], zeros: workspace
  int64_t count;
  int64_t batch;
  int64_t classes;
  int64_t height;
  int64_t width;
  float scale_y;
  float scale_x;
  double overlap;  // double: radii that are whole numbers depend on its last bits
};

// Draws the boxes, fewer than 2^30. A label or an image out of range fails an assertion on the
// device, which whoever waits for it next gets to know. Nothing is waited for, nothing allocated.
cudaError_t corner_targets_cuda(cudaStream_t stream, const Targets& targets);

}  // namespace cornernet::cuda
