// The launchers of corner_pool.cu: raw pointers, no torch. Contract in
// cornernet_ops/corner_pool.py.
#pragma once

#include <cuda_runtime_api.h>

#include "../common/corner_pool.h"

namespace cornernet::cuda {

// All of y and of grad_x is written. The launchers neither wait nor allocate.
cudaError_t launch_corner_pool(cudaStream_t stream, const CornerPool& task);
cudaError_t launch_corner_pool_backward(cudaStream_t stream, const CornerPoolBackward& task);

}  // namespace cornernet::cuda
