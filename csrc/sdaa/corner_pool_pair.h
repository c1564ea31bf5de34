// The launchers of corner_pool_pair.scpp: raw pointers, no torch. Contract in
// cornernet_ops/corner_pool_pair.py. All are for float32 and float16.
#pragma once

#include <sdaa_runtime.h>

#include "../common/corner_pool_pair.h"

extern "C" {

// Whether a plane fits into a scratchpad, so that the next function supports it.
bool cornernet_sdaa_corner_pool_pair_fits(cornernet::CornerPoolPair task);

// y = the vertical scans of `vertical` plus the horizontal ones of `horizontal`. Tensors begin at
// multiples of four bytes.
void cornernet_sdaa_corner_pool_pair(sdaaStream_t stream, cornernet::CornerPoolPair task);
}
