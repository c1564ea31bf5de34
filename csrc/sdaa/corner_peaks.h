// The launcher of corner_peaks.scpp: raw pointers, no torch. Contract in
// cornernet_ops/corner_peaks.py.
#pragma once

#include <sdaa_runtime.h>

#include <cstdint>

extern "C" {

// Whether the kernel can do it: no map has 2^31 cells, and lists and windows fit into a scratchpad.
bool cornernet_sdaa_corner_peaks_fits(
    int dtype, int64_t c, int64_t h, int64_t w, int64_t k, int64_t kernel_size);

// Bytes of workspace, a multiple of four.
int64_t cornernet_sdaa_corner_peaks_workspace(int64_t n, int64_t k);

// heat: [N, C, H, W], contiguous, of at least one element; least: [C], or null; scores and indices:
// [N, k], all of them are written. All begin at a multiple of four bytes. dtype: 0 float32,
// 1 float16, 2 bfloat16.
void cornernet_sdaa_corner_peaks(
    sdaaStream_t stream, int dtype, const void* heat, const void* least, void* scores,
    int64_t* indices, void* workspace, int64_t n, int64_t c, int64_t h, int64_t w, int64_t k,
    int64_t kernel_size);
}
