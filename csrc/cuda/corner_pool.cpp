// corner_pool on CUDA, the side of torch: checks, memory, stream. The kernels are in
// corner_pool.cu.

#include "corner_pool.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <string>

#include "../common/corner_pool_args.h"
#include "tensors.h"

namespace cornernet::cuda {
namespace {

at::Tensor corner_pool(const at::Tensor& x, const std::string& direction) {
  check_corner_pool("corner_pool", x, direction);
  const c10::cuda::OptionalCUDAGuard guard(x.device());
  const at::MemoryFormat layout = layout_of(x);
  const at::Tensor dense = x.contiguous(layout);
  at::Tensor y = at::empty_like(dense, {}, layout);
  if (y.numel() > 0) {
    C10_CUDA_CHECK(corner_pool_cuda(
        c10::cuda::getCurrentCUDAStream(), dtype_of(x), dense.const_data_ptr(),
        y.mutable_data_ptr(), scan_of(x, layout, direction)));
  }
  return y;
}

at::Tensor corner_pool_backward(
    const at::Tensor& grad_out, const at::Tensor& x, const std::string& direction) {
  check_corner_pool_backward(grad_out, x, direction);
  const c10::cuda::OptionalCUDAGuard guard(x.device());
  const at::MemoryFormat layout = layout_of(x);
  const at::Tensor dense = x.contiguous(layout);
  const at::Tensor grad = grad_out.contiguous(layout);
  at::Tensor dx = at::empty_like(dense, {}, layout);
  if (dx.numel() > 0) {
    C10_CUDA_CHECK(corner_pool_backward_cuda(
        c10::cuda::getCurrentCUDAStream(), dtype_of(x), grad.const_data_ptr(),
        dense.const_data_ptr(), dx.mutable_data_ptr(), scan_of(x, layout, direction)));
  }
  return dx;
}

}  // namespace
}  // namespace cornernet::cuda

TORCH_LIBRARY_IMPL(cornernet, CUDA, m) {
  m.impl("corner_pool", &cornernet::cuda::corner_pool);
  m.impl("corner_pool_backward", &cornernet::cuda::corner_pool_backward);
}
