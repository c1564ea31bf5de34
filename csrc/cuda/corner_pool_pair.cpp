// corner_pool_pair on CUDA, the side of torch. The kernels are in corner_pool_pair.cu; backward is
// corner_pool's, twice.

#include "corner_pool_pair.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <string>
#include <tuple>

#include "../common/corner_pool_pair_args.h"
#include "corner_pool.h"
#include "tensors.h"

namespace cornernet::cuda {
namespace {

at::Tensor corner_pool_pair(
    const at::Tensor& vertical, const at::Tensor& horizontal, const std::string& corner) {
  check_corner_pool_pair("corner_pool_pair", vertical, horizontal, corner);
  const c10::cuda::OptionalCUDAGuard guard(vertical.device());
  const at::MemoryFormat layout = layout_of(vertical);
  const at::Tensor v = vertical.contiguous(layout);
  const at::Tensor h = horizontal.contiguous(layout);
  at::Tensor y = at::empty_like(v, {}, layout);
  if (y.numel() == 0) {
    return y;
  }
  const auto stream = c10::cuda::getCurrentCUDAStream();
  const Dtype dtype = dtype_of(v);
  if (layout == at::MemoryFormat::Contiguous && corner_pool_pair_fits(v.size(3))) {
    C10_CUDA_CHECK(corner_pool_pair_cuda(
        stream, dtype, v.const_data_ptr(), h.const_data_ptr(), y.mutable_data_ptr(),
        v.size(0) * v.size(1), v.size(2), v.size(3), corner == "top_left"));
  } else {
    C10_CUDA_CHECK(corner_pool_cuda(
        stream, dtype, v.const_data_ptr(), y.mutable_data_ptr(),
        scan_of(v, layout, vertical_direction(corner))));
    C10_CUDA_CHECK(corner_pool_add_cuda(
        stream, dtype, h.const_data_ptr(), y.mutable_data_ptr(),
        scan_of(v, layout, horizontal_direction(corner))));
  }
  return y;
}

std::tuple<at::Tensor, at::Tensor> corner_pool_pair_backward(
    const at::Tensor& grad_out, const at::Tensor& vertical, const at::Tensor& horizontal,
    const std::string& corner) {
  check_corner_pool_pair_backward(grad_out, vertical, horizontal, corner);
  const c10::cuda::OptionalCUDAGuard guard(vertical.device());
  const at::MemoryFormat layout = layout_of(vertical);
  const at::Tensor g = grad_out.contiguous(layout);
  const at::Tensor v = vertical.contiguous(layout);
  const at::Tensor h = horizontal.contiguous(layout);
  at::Tensor grad_v = at::empty_like(v, {}, layout);
  at::Tensor grad_h = at::empty_like(h, {}, layout);
  if (grad_v.numel() > 0) {
    const auto stream = c10::cuda::getCurrentCUDAStream();
    const Dtype dtype = dtype_of(v);
    C10_CUDA_CHECK(corner_pool_backward_cuda(
        stream, dtype, g.const_data_ptr(), v.const_data_ptr(), grad_v.mutable_data_ptr(),
        scan_of(v, layout, vertical_direction(corner))));
    C10_CUDA_CHECK(corner_pool_backward_cuda(
        stream, dtype, g.const_data_ptr(), h.const_data_ptr(), grad_h.mutable_data_ptr(),
        scan_of(v, layout, horizontal_direction(corner))));
  }
  return {grad_v, grad_h};
}

}  // namespace
}  // namespace cornernet::cuda

TORCH_LIBRARY_IMPL(cornernet, CUDA, m) {
  m.impl("corner_pool_pair", &cornernet::cuda::corner_pool_pair);
  m.impl("corner_pool_pair_backward", &cornernet::cuda::corner_pool_pair_backward);
}
