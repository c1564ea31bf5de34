// The launcher of corner_targets.cu: raw pointers, no torch. Contract in
// cornernet_ops/corner_targets.py and center_targets.py.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "../common/corner_targets.h"

namespace cornernet::cuda {

// Draws the boxes, fewer than 2^30, into maps of zeros. last: [kinds, N, H, W], zeros: workspace. A
// label or an image out of range fails an assertion on the device, which is reported by the next
// call that waits for it. The launcher neither waits nor allocates.
cudaError_t launch_corner_targets(cudaStream_t stream, const CornerTargets& targets, int32_t* last);

}  // namespace cornernet::cuda
