// The launchers of corner_pool.cu: raw pointers, no torch. Contract in
// cornernet_ops/corner_pool.py.
#pragma once

#include <cuda_runtime_api.h>

#include "../common/corner_pool.h"
#include "../common/dtype.h"

namespace cornernet::cuda {

// x, y, g (the gradient of y) and dx are as `scan` says and have at least one element. All of y and
// dx is written. Nothing is waited for and nothing allocated.
cudaError_t corner_pool_cuda(
    cudaStream_t stream, Dtype dtype, const void* x, void* y, const Scan& scan);
cudaError_t corner_pool_backward_cuda(
    cudaStream_t stream, Dtype dtype, const void* g, const void* x, void* dx, const Scan& scan);

}  // namespace cornernet::cuda
