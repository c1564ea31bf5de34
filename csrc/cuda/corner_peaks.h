// The launcher of corner_peaks.cu: raw pointers, no torch. Contract in
// cornernet_ops/corner_peaks.py.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "../common/corner_peaks.h"

namespace cornernet::cuda {

// Whether the kernel supports so many cells of an image, and so many peaks.
bool corner_peaks_fits(const CornerPeaks& task);

// Bytes.
int64_t corner_peaks_workspace(const CornerPeaks& task);

// All of the scores and indices is written. workspace: an address that is a multiple of 16. The
// launcher neither waits nor allocates.
cudaError_t launch_corner_peaks(cudaStream_t stream, const CornerPeaks& task, void* workspace);

}  // namespace cornernet::cuda
