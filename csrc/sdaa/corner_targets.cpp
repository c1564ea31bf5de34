// corner_targets and center_targets on SDAA, the side of torch. The kernel is in
// corner_targets.scpp.

#include "corner_targets.h"

#include "../common/corner_targets_args.h"
#include "tensors.h"

namespace cornernet::sdaa {
namespace {

void draw(const TargetTensors& tensors) {
  const CornerTargets targets = tensors.pointers();
  const at::Tensor workspace =
      empty_bytes(tensors.boxes, cornernet_sdaa_corner_targets_workspace(targets));
  cornernet_sdaa_corner_targets(getCurrentSDAAStream(), targets, workspace.mutable_data_ptr());
}

template <typename Args>
typename Args::Result draw_targets(const Args& args) {
  draw(args);
  return args.results();
}

TORCH_LIBRARY_IMPL(cornernet, PrivateUse1, m) {
  implement<CornerTargetsArgs, &draw_targets<CornerTargetsArgs>>(m);
  implement<CenterTargetsArgs, &draw_targets<CenterTargetsArgs>>(m);
}

}  // namespace
}  // namespace cornernet::sdaa
