// The launcher of corner_decode.scpp: raw pointers, no torch. Contract in
// cornernet_ops/corner_decode.py.
#pragma once

#include <sdaa_runtime.h>

#include <cstdint>

#include "../common/corner_decode.h"

extern "C" {

// Whether the kernel supports it: in float32, ranks of pairs fit into 32 bits, lists and embeddings
// into a scratchpad.
bool cornernet_sdaa_corner_decode_fits(cornernet::CornerDecode task);

// Bytes of workspace, a multiple of eight.
int64_t cornernet_sdaa_corner_decode_workspace(cornernet::CornerDecode task);

// All of the boxes, scores and labels is written. All that is read is float32 and contiguous.
void cornernet_sdaa_corner_decode(
    sdaaStream_t stream, cornernet::CornerDecode task, void* workspace);
}
