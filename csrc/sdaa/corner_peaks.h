// The launcher of corner_peaks.scpp: raw pointers, no torch. Contract in
// cornernet_ops/corner_peaks.py.
#pragma once

#include <sdaa_runtime.h>

#include <cstdint>

#include "../common/corner_peaks.h"

extern "C" {

// Whether the kernel supports it: not float64, no map with 2^31 cells, and lists and windows fit
// into a scratchpad.
bool cornernet_sdaa_corner_peaks_fits(cornernet::CornerPeaks task);

// Bytes of workspace, a multiple of four.
int64_t cornernet_sdaa_corner_peaks_workspace(cornernet::CornerPeaks task);

// All of the scores and indices is written. All tensors begin at a multiple of four bytes.
void cornernet_sdaa_corner_peaks(sdaaStream_t stream, cornernet::CornerPeaks task, void* workspace);
}
