// The launcher of corner_decode.scpp: raw pointers, no torch. Contract in
// cornernet_ops/corner_decode.py.
#pragma once

#include <sdaa_runtime.h>

#include <cstdint>

extern "C" {

// The corners of one kind, contiguous: scores and indices [N, count], embedding [N, E, H, W],
// offset [N, 2, H, W].
struct cornernet_sdaa_corners {
  const float* scores;
  const int64_t* indices;
  const float* embedding;
  const float* offset;
  int64_t count;
};

// Whether the kernel can do it: ranks of pairs fit into 32 bits, lists and embeddings into a
// scratchpad.
bool cornernet_sdaa_corner_decode_fits(
    int64_t channels, int64_t tl_count, int64_t br_count, int64_t max_pairs);

// Bytes of workspace, a multiple of eight.
int64_t cornernet_sdaa_corner_decode_workspace(
    int64_t n, int64_t channels, int64_t tl_count, int64_t br_count, int64_t max_pairs);

// boxes [N, M, 4], scores and labels [N, M]: all of them are written. There is at least one
// image, cell and corner of either kind.
void cornernet_sdaa_corner_decode(
    sdaaStream_t stream, cornernet_sdaa_corners top_left, cornernet_sdaa_corners bottom_right,
    float distance_threshold, float* boxes, float* scores, int64_t* labels, void* workspace,
    int64_t n, int64_t channels, int64_t h, int64_t w, int64_t max_pairs);
}
