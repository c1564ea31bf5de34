// corner_pool_add on SDAA, the side of torch. The kernel is in corner_pool_add.scpp.

#include "corner_pool_add.h"

#include "../common/corner_pool_add_args.h"
#include "tensors.h"

namespace cornernet::sdaa {
namespace {

at::Tensor corner_pool_add(CornerPoolAddArgs args) {
  if (args.x.scalar_type() == at::kDouble) {
    return on_cpu(args);
  }
  if (args.x.scalar_type() == at::kBFloat16) {
    // Added in float32 and rounded once, as the contract has it.
    args.addend = args.addend.to(at::kFloat);
    args.x = args.x.to(at::kFloat);
    return corner_pool_add(args).to(at::kBFloat16);
  }
  args.addend = aligned(args.addend);
  args.x = aligned(args.x);
  at::Tensor y = args.empty_result();
  if (y.numel() > 0) {
    cornernet_sdaa_corner_pool_add(getCurrentSDAAStream(), args.pointers(y));
  }
  return y;
}

TORCH_LIBRARY_IMPL(cornernet, PrivateUse1, m) {
  implement<CornerPoolAddArgs, &corner_pool_add>(m);
}

}  // namespace
}  // namespace cornernet::sdaa
