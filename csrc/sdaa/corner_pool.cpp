// corner_pool on SDAA, the side of torch: checks, memory, stream. The kernels are in
// corner_pool.scpp.

#include "corner_pool.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/DeviceGuard.h>
#include <torch/library.h>
#include <torch_sdaa/sdaa_extension.h>

#include <string>

#include "../common/corner_pool_args.h"
#include "tensors.h"

namespace cornernet::sdaa {
namespace {

at::Tensor corner_pool(const at::Tensor& x, const std::string& direction) {
  check_corner_pool("corner_pool", x, direction);
  if (x.scalar_type() == at::kDouble) {
    return on_cpu<at::Tensor(const at::Tensor&, const std::string&)>("corner_pool", x, direction);
  }
  const c10::OptionalDeviceGuard guard(x.device());
  const at::MemoryFormat layout = layout_of(x);
  const at::Tensor dense = aligned(x.contiguous(layout));
  at::Tensor y = at::empty_like(dense, {}, layout);
  if (y.numel() > 0) {
    const Scan scan = scan_of(x, layout, direction);
    cornernet_sdaa_corner_pool(
        torch::sdaa::getCurrentSDAAStream(), kernel_dtype(x), dense.const_data_ptr(),
        y.mutable_data_ptr(), scan.outer, scan.length, scan.inner, scan.reverse);
  }
  return y;
}

at::Tensor corner_pool_backward(
    const at::Tensor& grad_out, const at::Tensor& x, const std::string& direction) {
  check_corner_pool_backward(grad_out, x, direction);
  const at::MemoryFormat layout = layout_of(x);
  const Scan scan = scan_of(x, layout, direction);
  if (x.scalar_type() == at::kDouble || !cornernet_sdaa_corner_pool_backward_fits(scan.length)) {
    return on_cpu<at::Tensor(const at::Tensor&, const at::Tensor&, const std::string&)>(
        "corner_pool_backward", grad_out, x, direction);
  }
  if (x.scalar_type() == at::kBFloat16) {
    // The language has no conversion of bfloat16 whose rounding is known; torch's is.
    return corner_pool_backward(grad_out.to(at::kFloat), x.to(at::kFloat), direction)
        .to(at::kBFloat16);
  }
  const c10::OptionalDeviceGuard guard(x.device());
  const at::Tensor dense = aligned(x.contiguous(layout));
  const at::Tensor grad = aligned(grad_out.contiguous(layout));
  at::Tensor grad_x = at::empty_like(dense, {}, layout);
  if (grad_x.numel() > 0) {
    cornernet_sdaa_corner_pool_backward(
        torch::sdaa::getCurrentSDAAStream(), kernel_dtype(x), grad.const_data_ptr(),
        dense.const_data_ptr(), grad_x.mutable_data_ptr(), scan.outer, scan.length, scan.inner,
        scan.reverse);
  }
  return grad_x;
}

}  // namespace
}  // namespace cornernet::sdaa

TORCH_LIBRARY_IMPL(cornernet, PrivateUse1, m) {
  m.impl("corner_pool", &cornernet::sdaa::corner_pool);
  m.impl("corner_pool_backward", &cornernet::sdaa::corner_pool_backward);
}
