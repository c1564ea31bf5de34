// corner_targets on CUDA, the side of torch. The kernels are in corner_targets.cu.

#include "corner_targets.h"

#include <ATen/ops/zeros.h>

#include "../common/corner_targets_args.h"
#include "tensors.h"

namespace cornernet::cuda {
namespace {

CornerTargetsArgs::Result corner_targets(const CornerTargetsArgs& args) {
  args.for_each_map([](const at::Tensor& map) { map.zero_(); });
  const CornerTargets targets = args.pointers();
  const at::Tensor last = at::zeros(
      {2, targets.batch, targets.height, targets.width}, args.boxes.options().dtype(at::kInt));
  C10_CUDA_CHECK(
      launch_corner_targets(getCurrentCUDAStream(), targets, last.mutable_data_ptr<int32_t>()));
  return args.results();
}

TORCH_LIBRARY_IMPL(cornernet, CUDA, m) {
  implement<CornerTargetsArgs, &corner_targets>(m);
}

}  // namespace
}  // namespace cornernet::cuda
