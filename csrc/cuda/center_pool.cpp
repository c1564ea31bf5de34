// center_pool on CUDA, the side of torch. The kernels are in center_pool.cu.

#include "center_pool.h"

#include "../common/center_pool_args.h"
#include "tensors.h"

namespace cornernet::cuda {
namespace {

at::Tensor center_pool(const CenterPoolArgs& args) {
  at::Tensor y = args.empty_map();
  if (y.numel() > 0) {
    const CenterPool task = args.pointers(y);
    const at::Tensor workspace = empty_bytes(y, center_pool_workspace(task));
    C10_CUDA_CHECK(launch_center_pool(getCurrentCUDAStream(), task, workspace.mutable_data_ptr()));
  }
  return y;
}

CenterPoolBackwardArgs::Result center_pool_backward(const CenterPoolBackwardArgs& args) {
  const at::Tensor grad_vertical = args.empty_map().zero_();
  const at::Tensor grad_horizontal = args.empty_map().zero_();
  if (grad_vertical.numel() > 0) {
    C10_CUDA_CHECK(launch_center_pool_backward(
        getCurrentCUDAStream(), args.pointers(grad_vertical, grad_horizontal)));
  }
  return {grad_vertical, grad_horizontal};
}

TORCH_LIBRARY_IMPL(cornernet, CUDA, m) {
  implement<CenterPoolArgs, &center_pool>(m);
  implement<CenterPoolBackwardArgs, &center_pool_backward>(m);
}

}  // namespace
}  // namespace cornernet::cuda
