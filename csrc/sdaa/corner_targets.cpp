// corner_targets on SDAA, the side of torch. The kernel is in corner_targets.scpp.

#include "corner_targets.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/DeviceGuard.h>
#include <torch/library.h>
#include <torch_sdaa/sdaa_extension.h>

#include <tuple>

#include "../common/corner_targets_args.h"

namespace cornernet::sdaa {
namespace {

using Results = std::tuple<
    at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor,
    at::Tensor>;

Results corner_targets(
    const at::Tensor& boxes, const at::Tensor& labels, const at::Tensor& image_index,
    int64_t batch, int64_t num_classes, int64_t height, int64_t width, double scale_y,
    double scale_x, double overlap) {
  check_corner_targets(boxes, labels, image_index, batch, num_classes, height, width, overlap);
  // The kernel leaves out what is out of range; here it gets its sentence, for two small copies.
  check_range("labels", labels.cpu(), num_classes);
  check_range("image_index", image_index.cpu(), batch);

  const c10::OptionalDeviceGuard guard(boxes.device());
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
    heat[kind] = at::empty({batch, num_classes, height, width}, options);
    offset[kind] = at::empty({batch, 2, height, width}, options);
    mask[kind] = at::empty({batch, 1, height, width}, options);
    cell[kind] = at::empty({count}, labels.options());
  }
  if (batch > 0) {
    at::Tensor workspace = at::empty(
        {cornernet_sdaa_corner_targets_workspace(count)}, options.dtype(at::kByte));
    const cornernet_sdaa_targets targets = {
        held_boxes.const_data_ptr<float>(),
        held_labels.const_data_ptr<int64_t>(),
        held_images.const_data_ptr<int64_t>(),
        {heat[0].mutable_data_ptr<float>(), heat[1].mutable_data_ptr<float>()},
        {offset[0].mutable_data_ptr<float>(), offset[1].mutable_data_ptr<float>()},
        {mask[0].mutable_data_ptr<float>(), mask[1].mutable_data_ptr<float>()},
        {cell[0].mutable_data_ptr<int64_t>(), cell[1].mutable_data_ptr<int64_t>()},
        workspace.mutable_data_ptr(),
        count,
        batch,
        num_classes,
        height,
        width,
        static_cast<float>(scale_y),
        static_cast<float>(scale_x),
        overlap};
    cornernet_sdaa_corner_targets(torch::sdaa::getCurrentSDAAStream(), targets);
  }
  return {heat[0], heat[1], offset[0], offset[1], mask[0], mask[1], cell[0], cell[1]};
}

}  // namespace
}  // namespace cornernet::sdaa

TORCH_LIBRARY_IMPL(cornernet, PrivateUse1, m) {
  m.impl("corner_targets", &cornernet::sdaa::corner_targets);
}
