// corner_pool_pair on CUDA, the side of torch. The kernels are in corner_pool_pair.cu; backward is
// corner_pool's, twice.

#include "corner_pool_pair.h"

#include "../common/corner_pool_pair_args.h"
#include "corner_pool.h"
#include "corner_pool_add.h"
#include "tensors.h"

namespace cornernet::cuda {
namespace {

at::Tensor corner_pool_pair(const CornerPoolPairArgs& args) {
  at::Tensor y = args.empty_result();
  if (y.numel() == 0) {
    return y;
  }
  const auto stream = getCurrentCUDAStream();
  const CornerPoolPair planes = args.planes(y);
  if (!args.channels_last() && corner_pool_pair_fits(planes)) {
    C10_CUDA_CHECK(launch_corner_pool_pair(stream, planes));
  } else {
    C10_CUDA_CHECK(launch_corner_pool(stream, args.vertical_pass(y)));
    C10_CUDA_CHECK(launch_corner_pool_add(stream, {args.horizontal_pass(y), y.const_data_ptr()}));
  }
  return y;
}

CornerPoolPairBackwardArgs::Result corner_pool_pair_backward(
    const CornerPoolPairBackwardArgs& args) {
  return args.two_passes([](const CornerPoolBackwardArgs& pass) {
    at::Tensor grad = pass.empty_result();
    if (grad.numel() > 0) {
      C10_CUDA_CHECK(launch_corner_pool_backward(getCurrentCUDAStream(), pass.pointers(grad)));
    }
    return grad;
  });
}

TORCH_LIBRARY_IMPL(cornernet, CUDA, m) {
  implement<CornerPoolPairArgs, &corner_pool_pair>(m);
  implement<CornerPoolPairBackwardArgs, &corner_pool_pair_backward>(m);
}

}  // namespace
}  // namespace cornernet::cuda
