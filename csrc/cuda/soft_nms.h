// The launcher of soft_nms.cu: raw pointers, no torch. Contract in cornernet_ops/soft_nms.py.
#pragma once

#include <cuda_runtime_api.h>

#include "../common/soft_nms.h"

namespace cornernet::cuda {

// All of picked_* is written. There is at least one image. left: [N, P], workspace. The launcher
// neither waits nor allocates.
cudaError_t launch_soft_nms(cudaStream_t stream, const SoftNms<float>& task, float* left);
cudaError_t launch_soft_nms(cudaStream_t stream, const SoftNms<double>& task, double* left);

}  // namespace cornernet::cuda
