// The launchers of center_pool.cu: raw pointers, no torch. Contract in
// cornernet_ops/center_pool.py.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "../common/center_pool.h"

namespace cornernet::cuda {

// Bytes of workspace: the maxima of all columns and rows.
int64_t center_pool_workspace(const CenterPool& task);

// All of y is written; of the gradients, which are zeros, the maximum of each line. The launchers
// neither wait nor allocate.
cudaError_t launch_center_pool(cudaStream_t stream, const CenterPool& task, void* workspace);
cudaError_t launch_center_pool_backward(cudaStream_t stream, const CenterPoolBackward& task);

}  // namespace cornernet::cuda
