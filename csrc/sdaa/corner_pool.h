// The launchers of corner_pool.scpp: raw pointers, no torch. Contract in
// cornernet_ops/corner_pool.py.
#pragma once

#include <sdaa_runtime.h>

#include <cstdint>

extern "C" {

// x and y are dense tensors [outer, length, inner] of at least one element, as
// csrc/common/corner_pool.h describes them; both begin at a multiple of four bytes. dtype: 0
// float32, 1 float16, 2 bfloat16.
void cornernet_sdaa_corner_pool(
    sdaaStream_t stream, int dtype, const void* x, void* y, int64_t outer, int64_t length,
    int64_t inner, bool reverse);

// Whether a scratchpad holds what the gradient of a scan of this length needs: not of millions.
bool cornernet_sdaa_corner_pool_backward_fits(int64_t length);

// The same for the gradient; dtype 0 or 1.
void cornernet_sdaa_corner_pool_backward(
    sdaaStream_t stream, int dtype, const void* grad_out, const void* x, void* grad_x,
    int64_t outer, int64_t length, int64_t inner, bool reverse);
}
