// The launchers of corner_pool_pair.cu: raw pointers, no torch. Contract in
// cornernet_ops/corner_pool_pair.py.
#pragma once

#include <cuda_runtime_api.h>

#include "../common/corner_pool_pair.h"

namespace cornernet::cuda {

// Whether launch_corner_pool_pair supports planes of this width.
bool corner_pool_pair_fits(const CornerPoolPair& task);

// y = the vertical scans of `vertical` plus the horizontal ones of `horizontal`. The launcher
// neither waits nor allocates.
cudaError_t launch_corner_pool_pair(cudaStream_t stream, const CornerPoolPair& task);

}  // namespace cornernet::cuda
