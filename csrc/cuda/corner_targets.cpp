// corner_targets on CUDA, the side of torch. The kernels are in corner_targets.cu.

#include "corner_targets.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <tuple>

#include "../common/corner_targets_args.h"
#include "tensors.h"

namespace cornernet::cuda {
namespace {

using Results = std::tuple<
    at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor,
    at::Tensor>;

Results corner_targets(
    const at::Tensor& boxes, const at::Tensor& labels, const at::Tensor& image_index,
    int64_t batch, int64_t num_classes, int64_t height, int64_t width, double scale_y,
    double scale_x, double overlap) {
  check_corner_targets(boxes, labels, image_index, batch, num_classes, height, width, overlap);
  const c10::cuda::OptionalCUDAGuard guard(boxes.device());
  const at::Tensor held_boxes = boxes.contiguous();
  const at::Tensor held_labels = labels.contiguous();
  const at::Tensor held_images = image_index.contiguous();
  const int64_t count = boxes.size(0);
  const at::TensorOptions options = boxes.options();
  at::Tensor heat[2];
  at::Tensor offset[2];
  at::Tensor mask[2];
  at::Tensor cell[2];
  for (int kind = 0; kind < 2; ++kind) {
    heat[kind] = at::zeros({batch, num_classes, height, width}, options);
    offset[kind] = at::zeros({batch, 2, height, width}, options);
    mask[kind] = at::zeros({batch, 1, height, width}, options);
    cell[kind] = at::empty({count}, labels.options());
  }
  at::Tensor last = at::zeros({2, batch, height, width}, options.dtype(at::kInt));
  const Targets targets{
      held_boxes.const_data_ptr<float>(),
      held_labels.const_data_ptr<int64_t>(),
      held_images.const_data_ptr<int64_t>(),
      {heat[0].mutable_data_ptr<float>(), heat[1].mutable_data_ptr<float>()},
      {offset[0].mutable_data_ptr<float>(), offset[1].mutable_data_ptr<float>()},
      {mask[0].mutable_data_ptr<float>(), mask[1].mutable_data_ptr<float>()},
      {cell[0].mutable_data_ptr<int64_t>(), cell[1].mutable_data_ptr<int64_t>()},
      last.mutable_data_ptr<int32_t>(),
      count,
      batch,
      num_classes,
      height,
      width,
      static_cast<float>(scale_y),
      static_cast<float>(scale_x),
      overlap};
  C10_CUDA_CHECK(corner_targets_cuda(c10::cuda::getCurrentCUDAStream(), targets));
  return {heat[0], heat[1], offset[0], offset[1], mask[0], mask[1], cell[0], cell[1]};
}

}  // namespace
}  // namespace cornernet::cuda

TORCH_LIBRARY_IMPL(cornernet, CUDA, m) {
  m.impl("corner_targets", &cornernet::cuda::corner_targets);
}
