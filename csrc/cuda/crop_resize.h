// The launcher of crop_resize.cu: raw pointers, no torch. Contract in cornernet_ops/crop_resize.py.
#pragma once

#include <cuda_runtime_api.h>

#include "../common/crop_resize.h"

namespace cornernet::cuda {

// Writes all of a canvas of at least one pixel. An image index out of range fails an assertion on
// the device, which is reported by the next call that waits for it. The launcher neither waits nor
// allocates.
cudaError_t launch_crop_resize(cudaStream_t stream, const CropResize& task);

}  // namespace cornernet::cuda
