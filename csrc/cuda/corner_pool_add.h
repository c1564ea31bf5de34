// The launcher of corner_pool_add.cu: raw pointers, no torch. Contract in
// cornernet_ops/corner_pool_add.py.
#pragma once

#include <cuda_runtime_api.h>

#include "../common/corner_pool.h"

namespace cornernet::cuda {

// y = the addend plus the scans of x, as launch_corner_pool in corner_pool.h computes them; 16-bit
// sums are rounded once. The launcher neither waits nor allocates.
cudaError_t launch_corner_pool_add(cudaStream_t stream, const CornerPoolAdd& task);

}  // namespace cornernet::cuda
