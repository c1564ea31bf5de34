// The launchers of corner_pool.scpp: raw pointers, no torch. Contract in
// cornernet_ops/corner_pool.py.
#pragma once

#include <sdaa_runtime.h>

#include <cstdint>

#include "../common/corner_pool.h"

extern "C" {

// x and y begin at a multiple of four bytes. Not for float64.
void cornernet_sdaa_corner_pool(sdaaStream_t stream, cornernet::CornerPool task);

// Whether a scratchpad holds what the gradient of a scan of this length needs: not of millions.
bool cornernet_sdaa_corner_pool_backward_fits(int64_t length);

// The same for the gradient, of float32 or float16.
void cornernet_sdaa_corner_pool_backward(sdaaStream_t stream, cornernet::CornerPoolBackward task);
}
