// The launchers of corner_pool_pair.cu: raw pointers, no torch. Contract in
// cornernet_ops/corner_pool_pair.py.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "../common/corner_pool.h"
#include "../common/dtype.h"

namespace cornernet::cuda {

// Whether the next function can do planes of this width.
bool corner_pool_pair_fits(int64_t width);

// y = the vertical scans of `vertical` plus the horizontal ones of `horizontal`: contiguous tensors
// of at least one element, as `planes` times [height, width]. Nothing is waited for and nothing
// allocated.
cudaError_t corner_pool_pair_cuda(
    cudaStream_t stream, Dtype dtype, const void* vertical, const void* horizontal, void* y,
    int64_t planes, int64_t height, int64_t width, bool reverse);

// y += the scans of x, as corner_pool_cuda in corner_pool.h computes them; 16-bit sums are rounded
// once.
cudaError_t corner_pool_add_cuda(
    cudaStream_t stream, Dtype dtype, const void* x, void* y, const Scan& scan);

}  // namespace cornernet::cuda
