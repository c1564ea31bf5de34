// The launcher of soft_nms.scpp: raw pointers, no torch. Contract in cornernet_ops/soft_nms.py.
#pragma once

#include <sdaa_runtime.h>

#include <cstdint>

#include "../common/soft_nms.h"

extern "C" {

// Whether the candidates of an image fit into a scratchpad.
bool cornernet_sdaa_soft_nms_fits(int64_t candidates);

// Writes all results. There is at least one image.
void cornernet_sdaa_soft_nms(sdaaStream_t stream, cornernet::SoftNms<float> task);
}
