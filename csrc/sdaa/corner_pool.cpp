// corner_pool on SDAA, the side of torch. The kernels are in corner_pool.scpp.

#include "corner_pool.h"

#include "../common/corner_pool_args.h"
#include "tensors.h"

namespace cornernet::sdaa {
namespace {

at::Tensor corner_pool(CornerPoolArgs args) {
  if (args.x.scalar_type() == at::kDouble) {
    return on_cpu(args);
  }
  args.x = aligned(args.x);
  at::Tensor y = args.empty_result();
  if (y.numel() > 0) {
    cornernet_sdaa_corner_pool(getCurrentSDAAStream(), args.pointers(y));
  }
  return y;
}

at::Tensor corner_pool_backward(CornerPoolBackwardArgs args) {
  if (args.x.scalar_type() == at::kDouble ||
      !cornernet_sdaa_corner_pool_backward_fits(args.scan.length)) {
    return on_cpu(args);
  }
  if (args.x.scalar_type() == at::kBFloat16) {
    // The language has no conversion of bfloat16 whose rounding is known; torch's is.
    args.x = args.x.to(at::kFloat);
    args.grad_out = args.grad_out.to(at::kFloat);
    return corner_pool_backward(args).to(at::kBFloat16);
  }
  args.x = aligned(args.x);
  args.grad_out = aligned(args.grad_out);
  at::Tensor grad_x = args.empty_result();
  if (grad_x.numel() > 0) {
    cornernet_sdaa_corner_pool_backward(getCurrentSDAAStream(), args.pointers(grad_x));
  }
  return grad_x;
}

TORCH_LIBRARY_IMPL(cornernet, PrivateUse1, m) {
  implement<CornerPoolArgs, &corner_pool>(m);
  implement<CornerPoolBackwardArgs, &corner_pool_backward>(m);
}

}  // namespace
}  // namespace cornernet::sdaa
