// corner_pool_add on CUDA, the side of torch. The kernels are in corner_pool_add.cu.

#include "corner_pool_add.h"

#include "../common/corner_pool_add_args.h"
#include "tensors.h"

namespace cornernet::cuda {
namespace {

at::Tensor corner_pool_add(const CornerPoolAddArgs& args) {
  at::Tensor y = args.empty_result();
  if (y.numel() > 0) {
    C10_CUDA_CHECK(launch_corner_pool_add(getCurrentCUDAStream(), args.pointers(y)));
  }
  return y;
}

TORCH_LIBRARY_IMPL(cornernet, CUDA, m) {
  implement<CornerPoolAddArgs, &corner_pool_add>(m);
}

}  // namespace
}  // namespace cornernet::cuda
