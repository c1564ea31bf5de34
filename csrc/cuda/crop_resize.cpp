// crop_resize on CUDA, the side of torch. The kernel is in crop_resize.cu.

#include "crop_resize.h"

#include "../common/crop_resize_args.h"
#include "tensors.h"

namespace cornernet::cuda {
namespace {

at::Tensor crop_resize(const CropResizeArgs& args) {
  if (args.canvas.numel() > 0) {
    C10_CUDA_CHECK(launch_crop_resize(getCurrentCUDAStream(), args.pointers()));
  }
  return args.canvas;
}

TORCH_LIBRARY_IMPL(cornernet, CUDA, m) {
  implement<CropResizeArgs, &crop_resize>(m);
}

}  // namespace
}  // namespace cornernet::cuda
