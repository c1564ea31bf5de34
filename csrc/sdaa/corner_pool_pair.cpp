// corner_pool_pair on SDAA, the side of torch. The kernels are in corner_pool_pair.scpp; backward
// is corner_pool's, twice.

#include "corner_pool_pair.h"

#include "../common/corner_pool_pair_args.h"
#include "corner_pool.h"
#include "corner_pool_add.h"
#include "tensors.h"

namespace cornernet::sdaa {
namespace {

at::Tensor corner_pool_pair(CornerPoolPairArgs args) {
  if (args.vertical.scalar_type() == at::kDouble) {
    return on_cpu(args);
  }
  if (args.vertical.scalar_type() == at::kBFloat16) {
    // Added in float32 and rounded once, as the contract has it.
    args.vertical = args.vertical.to(at::kFloat);
    args.horizontal = args.horizontal.to(at::kFloat);
    return corner_pool_pair(args).to(at::kBFloat16);
  }
  args.vertical = aligned(args.vertical);
  args.horizontal = aligned(args.horizontal);
  at::Tensor y = args.empty_result();
  if (y.numel() == 0) {
    return y;
  }
  const sdaaStream_t stream = getCurrentSDAAStream();
  const CornerPoolPair planes = args.planes(y);
  if (!args.channels_last() && cornernet_sdaa_corner_pool_pair_fits(planes)) {
    cornernet_sdaa_corner_pool_pair(stream, planes);
  } else {
    cornernet_sdaa_corner_pool(stream, args.vertical_pass(y));
    cornernet_sdaa_corner_pool_add(stream, {args.horizontal_pass(y), y.const_data_ptr()});
  }
  return y;
}

CornerPoolPairBackwardArgs::Result corner_pool_pair_backward(
    const CornerPoolPairBackwardArgs& args) {
  return args.two_passes([](const CornerPoolBackwardArgs& pass) {
    return std::apply(
        [](const auto&... given) { return call<CornerPoolBackwardArgs>(given...); }, pass.given);
  });
}

TORCH_LIBRARY_IMPL(cornernet, PrivateUse1, m) {
  implement<CornerPoolPairArgs, &corner_pool_pair>(m);
  implement<CornerPoolPairBackwardArgs, &corner_pool_pair_backward>(m);
}

}  // namespace
}  // namespace cornernet::sdaa
