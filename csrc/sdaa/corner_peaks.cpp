// corner_peaks on SDAA, the side of torch. The kernel is in corner_peaks.scpp.

#include "corner_peaks.h"

#include "../common/corner_peaks_args.h"
#include "tensors.h"

namespace cornernet::sdaa {
namespace {

CornerPeaksArgs::Result corner_peaks(CornerPeaksArgs args) {
  if (args.empty()) {
    return args.results();
  }
  if (!cornernet_sdaa_corner_peaks_fits(args.pointers())) {
    return on_cpu(args);
  }
  args.heat = aligned(args.heat);
  args.min_scores = args.min_scores.defined() ? aligned(args.min_scores) : args.min_scores;
  const CornerPeaks task = args.pointers();
  const at::Tensor workspace = empty_bytes(args.heat, cornernet_sdaa_corner_peaks_workspace(task));
  cornernet_sdaa_corner_peaks(getCurrentSDAAStream(), task, workspace.mutable_data_ptr());
  return args.results();
}

TORCH_LIBRARY_IMPL(cornernet, PrivateUse1, m) {
  implement<CornerPeaksArgs, &corner_peaks>(m);
}

}  // namespace
}  // namespace cornernet::sdaa
