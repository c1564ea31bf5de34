// corner_targets on SDAA, the side of torch. The kernel is in corner_targets.scpp.

#include "corner_targets.h"

#include "../common/corner_targets_args.h"
#include "tensors.h"

namespace cornernet::sdaa {
namespace {

CornerTargetsArgs::Result corner_targets(const CornerTargetsArgs& args) {
  const CornerTargets targets = args.pointers();
  const at::Tensor workspace =
      empty_bytes(args.boxes, cornernet_sdaa_corner_targets_workspace(targets));
  cornernet_sdaa_corner_targets(getCurrentSDAAStream(), targets, workspace.mutable_data_ptr());
  return args.results();
}

TORCH_LIBRARY_IMPL(cornernet, PrivateUse1, m) {
  implement<CornerTargetsArgs, &corner_targets>(m);
}

}  // namespace
}  // namespace cornernet::sdaa
