// The launcher of corner_peaks.cu: raw pointers, no torch. Contract in
// cornernet_ops/corner_peaks.py.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "../common/dtype.h"

namespace cornernet::cuda {

// Whether the kernel can do it: so many cells of an image, and so many peaks wanted.
bool corner_peaks_fits(int64_t cells, int64_t k);

int64_t corner_peaks_workspace(Dtype dtype, int64_t n, int64_t cells, int64_t k);

// heat: [N, C, H, W], contiguous, of at least one element; least: [C], or null; scores and indices:
// [N, k], all of them are written. workspace: so many bytes as the function above says, from an
// address that is a multiple of 16. Nothing is waited for and nothing allocated.
cudaError_t corner_peaks_cuda(
    cudaStream_t stream, Dtype dtype, const void* heat, const void* least, void* scores,
    int64_t* indices, void* workspace, int64_t n, int64_t c, int64_t h, int64_t w, int64_t k,
    int64_t kernel_size);

}  // namespace cornernet::cuda
