// The launchers of corner_pool_pair.scpp: raw pointers, no torch. Contract in
// cornernet_ops/corner_pool_pair.py.
#pragma once

#include <sdaa_runtime.h>

#include <cstdint>

extern "C" {

// Whether a plane fits into a scratchpad, so that the next function can do it. dtype: 0 float32,
// 1 float16.
bool cornernet_sdaa_corner_pool_pair_fits(int dtype, int64_t h, int64_t w);

// y = the vertical scans of `vertical` plus the horizontal ones of `horizontal`: contiguous tensors
// of at least one element, as `planes` times [H, W], that begin at multiples of four bytes.
void cornernet_sdaa_corner_pool_pair(
    sdaaStream_t stream, int dtype, const void* vertical, const void* horizontal, void* y,
    int64_t planes, int64_t h, int64_t w, bool reverse);

// y += the scans of x: as cornernet_sdaa_corner_pool in corner_pool.h. dtype 0 or 1.
void cornernet_sdaa_corner_pool_add(
    sdaaStream_t stream, int dtype, const void* x, void* y, int64_t outer, int64_t length,
    int64_t inner, bool reverse);
}
