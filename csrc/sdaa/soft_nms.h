// The launcher of soft_nms.scpp: raw pointers, no torch. Contract in cornernet_ops/soft_nms.py.
#pragma once

#include <sdaa_runtime.h>

#include <cstdint>

extern "C" {

struct cornernet_sdaa_soft_nms_arguments {
  const float* boxes;     // [N, P, 4]
  const float* scores;    // [N, P]
  const int64_t* labels;  // [N, P]
  int64_t* picked_index;  // [N, D]
  float* picked_boxes;    // [N, D, 4]
  float* picked_scores;   // [N, D]
  int64_t images;
  int64_t candidates;  // P
  int64_t limit;       // D
  int method;          // cornernet::Suppression
  float iou_threshold;
  float sigma;
  float min_score;
  float merge_exponent;
};

// Whether the candidates of an image fit into a scratchpad.
bool cornernet_sdaa_soft_nms_fits(int64_t candidates);

// Writes all results. There is at least one image.
void cornernet_sdaa_soft_nms(
    sdaaStream_t stream, cornernet_sdaa_soft_nms_arguments arguments);
}
