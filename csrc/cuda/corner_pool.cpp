// corner_pool on CUDA, the side of torch. The kernels are in corner_pool.cu.

#include "corner_pool.h"

#include "../common/corner_pool_args.h"
#include "tensors.h"

namespace cornernet::cuda {
namespace {

at::Tensor corner_pool(const CornerPoolArgs& args) {
  at::Tensor y = args.empty_result();
  if (y.numel() > 0) {
    C10_CUDA_CHECK(launch_corner_pool(getCurrentCUDAStream(), args.pointers(y)));
  }
  return y;
}

at::Tensor corner_pool_backward(const CornerPoolBackwardArgs& args) {
  at::Tensor grad_x = args.empty_result();
  if (grad_x.numel() > 0) {
    C10_CUDA_CHECK(launch_corner_pool_backward(getCurrentCUDAStream(), args.pointers(grad_x)));
  }
  return grad_x;
}

TORCH_LIBRARY_IMPL(cornernet, CUDA, m) {
  implement<CornerPoolArgs, &corner_pool>(m);
  implement<CornerPoolBackwardArgs, &corner_pool_backward>(m);
}

}  // namespace
}  // namespace cornernet::cuda
