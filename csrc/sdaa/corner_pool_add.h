// The launcher of corner_pool_add.scpp: raw pointers, no torch. Contract in
// cornernet_ops/corner_pool_add.py.
#pragma once

#include <sdaa_runtime.h>

#include "../common/corner_pool.h"

extern "C" {

// For float32 and float16. Tensors begin at multiples of four bytes; the addend may be y.
void cornernet_sdaa_corner_pool_add(sdaaStream_t stream, cornernet::CornerPoolAdd task);
}
