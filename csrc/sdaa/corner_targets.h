// The launcher of corner_targets.scpp: raw pointers, no torch. Contract in
// cornernet_ops/corner_targets.py and center_targets.py.
#pragma once

#include <sdaa_runtime.h>

#include <cstdint>

#include "../common/corner_targets.h"

extern "C" {

// Bytes of workspace, a multiple of four, at least that.
int64_t cornernet_sdaa_corner_targets_workspace(cornernet::CornerTargets targets);

// Writes all maps and cells; leaves boxes out whose label or image is out of range. There is at
// least one image; of planes, [H, W] of all maps together, fewer than 2^31.
void cornernet_sdaa_corner_targets(
    sdaaStream_t stream, cornernet::CornerTargets targets, void* workspace);
}
