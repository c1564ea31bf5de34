// corner_peaks on CUDA, the side of torch. The kernels are in corner_peaks.cu.

#include "corner_peaks.h"

#include "../common/corner_peaks_args.h"
#include "tensors.h"

namespace cornernet::cuda {
namespace {

CornerPeaksArgs::Result corner_peaks(const CornerPeaksArgs& args) {
  if (args.empty()) {
    return args.results();
  }
  const CornerPeaks task = args.pointers();
  if (!corner_peaks_fits(task)) {
    return reference(args);
  }
  const at::Tensor workspace = empty_bytes(args.heat, corner_peaks_workspace(task));
  C10_CUDA_CHECK(launch_corner_peaks(getCurrentCUDAStream(), task, workspace.mutable_data_ptr()));
  return args.results();
}

TORCH_LIBRARY_IMPL(cornernet, CUDA, m) {
  implement<CornerPeaksArgs, &corner_peaks>(m);
}

}  // namespace
}  // namespace cornernet::cuda
