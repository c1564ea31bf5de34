// The launcher of corner_decode.cu: raw pointers, no torch. Contract in
// cornernet_ops/corner_decode.py.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "../common/corner_decode.h"

namespace cornernet::cuda {

// Whether the kernels support so many pairs to choose from, and so many boxes.
bool corner_decode_fits(const CornerDecode& task);

// Bytes.
int64_t corner_decode_workspace(const CornerDecode& task);

// All of the boxes, scores and labels is written. workspace: an address that is a multiple of 16.
// The launcher neither waits nor allocates.
cudaError_t launch_corner_decode(cudaStream_t stream, const CornerDecode& task, void* workspace);

}  // namespace cornernet::cuda
