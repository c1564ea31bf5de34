// corner_pool on the CPU, for the op that is made of two of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace cornernet::cpu {

at::Tensor corner_pool(const at::Tensor& x, const std::string& direction);
at::Tensor corner_pool_backward(
    const at::Tensor& grad_out, const at::Tensor& x, const std::string& direction);

}  // namespace cornernet::cpu
