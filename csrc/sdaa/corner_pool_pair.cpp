// corner_pool_pair on SDAA, the side of torch. The kernels are in corner_pool_pair.scpp; backward
// is corner_pool's, twice.

#include "corner_pool_pair.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/DeviceGuard.h>
#include <torch/library.h>
#include <torch_sdaa/sdaa_extension.h>

#include <string>
#include <tuple>

#include "../common/corner_pool_pair_args.h"
#include "corner_pool.h"
#include "tensors.h"

namespace cornernet::sdaa {
namespace {

using PoolBackward = at::Tensor(const at::Tensor&, const at::Tensor&, const std::string&);
using Pair = at::Tensor(const at::Tensor&, const at::Tensor&, const std::string&);

at::Tensor corner_pool_pair(
    const at::Tensor& vertical, const at::Tensor& horizontal, const std::string& corner) {
  check_corner_pool_pair("corner_pool_pair", vertical, horizontal, corner);
  if (vertical.scalar_type() == at::kDouble) {
    return on_cpu<Pair>("corner_pool_pair", vertical, horizontal, corner);
  }
  if (vertical.scalar_type() == at::kBFloat16) {
    // Added in float32 and rounded once, as the contract has it.
    return corner_pool_pair(vertical.to(at::kFloat), horizontal.to(at::kFloat), corner)
        .to(at::kBFloat16);
  }
  const c10::OptionalDeviceGuard guard(vertical.device());
  const at::MemoryFormat layout = layout_of(vertical);
  const at::Tensor v = aligned(vertical.contiguous(layout));
  const at::Tensor h = aligned(horizontal.contiguous(layout));
  const int dtype = kernel_dtype(v);
  const int64_t height = v.size(2);
  const int64_t width = v.size(3);
  const bool together = layout == at::MemoryFormat::Contiguous &&
                        cornernet_sdaa_corner_pool_pair_fits(dtype, height, width);
  at::Tensor y = at::empty_like(v, {}, layout);
  if (y.numel() == 0) {
    return y;
  }
  const sdaaStream_t stream = torch::sdaa::getCurrentSDAAStream();
  if (together) {
    cornernet_sdaa_corner_pool_pair(
        stream, dtype, v.const_data_ptr(), h.const_data_ptr(), y.mutable_data_ptr(),
        v.size(0) * v.size(1), height, width, corner == "top_left");
  } else {
    const Scan down = scan_of(v, layout, vertical_direction(corner));
    cornernet_sdaa_corner_pool(
        stream, dtype, v.const_data_ptr(), y.mutable_data_ptr(), down.outer, down.length,
        down.inner, down.reverse);
    const Scan along = scan_of(v, layout, horizontal_direction(corner));
    cornernet_sdaa_corner_pool_add(
        stream, dtype, h.const_data_ptr(), y.mutable_data_ptr(), along.outer, along.length,
        along.inner, along.reverse);
  }
  return y;
}

std::tuple<at::Tensor, at::Tensor> corner_pool_pair_backward(
    const at::Tensor& grad_out, const at::Tensor& vertical, const at::Tensor& horizontal,
    const std::string& corner) {
  check_corner_pool_pair_backward(grad_out, vertical, horizontal, corner);
  const at::Tensor h = horizontal.contiguous(layout_of(vertical));
  return {
      call<PoolBackward>(
          "corner_pool_backward", grad_out, vertical, vertical_direction(corner)),
      call<PoolBackward>("corner_pool_backward", grad_out, h, horizontal_direction(corner))};
}

}  // namespace
}  // namespace cornernet::sdaa

TORCH_LIBRARY_IMPL(cornernet, PrivateUse1, m) {
  m.impl("corner_pool_pair", &cornernet::sdaa::corner_pool_pair);
  m.impl("corner_pool_pair_backward", &cornernet::sdaa::corner_pool_pair_backward);
}
