// corner_targets and center_targets on CUDA, the side of torch. The kernels are in
// corner_targets.cu.

#include "corner_targets.h"

#include <ATen/ops/zeros.h>

#include "../common/corner_targets_args.h"
#include "tensors.h"

namespace cornernet::cuda {
namespace {

void draw(const TargetTensors& tensors) {
  tensors.for_each_map([](const at::Tensor& map) { map.zero_(); });
  const CornerTargets targets = tensors.pointers();
  const at::Tensor last = at::zeros(
      {targets.kinds, targets.batch, targets.height, targets.width},
      tensors.boxes.options().dtype(at::kInt));
  C10_CUDA_CHECK(
      launch_corner_targets(getCurrentCUDAStream(), targets, last.mutable_data_ptr<int32_t>()));
}

template <typename Args>
typename Args::Result draw_targets(const Args& args) {
  draw(args);
  return args.results();
}

TORCH_LIBRARY_IMPL(cornernet, CUDA, m) {
  implement<CornerTargetsArgs, &draw_targets<CornerTargetsArgs>>(m);
  implement<CenterTargetsArgs, &draw_targets<CenterTargetsArgs>>(m);
}

}  // namespace
}  // namespace cornernet::cuda
