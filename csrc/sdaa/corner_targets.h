// The launcher of corner_targets.scpp: raw pointers, no torch. Contract in
// cornernet_ops/corner_targets.py.
#pragma once

#include <sdaa_runtime.h>

#include <cstdint>

extern "C" {

// Everything in pairs is of the top-left and of the bottom-right corners.
struct cornernet_sdaa_targets {
  const float* boxes;          // [M, 4]
  const int64_t* labels;       // [M]
  const int64_t* image_index;  // [M]
  float* heat[2];              // [N, K, H, W]
  float* offset[2];            // [N, 2, H, W]
  float* mask[2];              // [N, 1, H, W]
  int64_t* cell[2];            // [M]
  void* workspace;
  int64_t count;
  int64_t batch;
  int64_t classes;
  int64_t height;
  int64_t width;
  float scale_y;
  float scale_x;
  double overlap;  // double: radii that are whole numbers depend on its last bits
};

// Bytes of workspace, a multiple of four, at least that.
int64_t cornernet_sdaa_corner_targets_workspace(int64_t count);

// Writes all maps and cells. There is at least one image; of planes, [H, W] of all maps together,
// fewer than 2^31.
void cornernet_sdaa_corner_targets(sdaaStream_t stream, cornernet_sdaa_targets targets);
}
