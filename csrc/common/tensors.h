// What the arguments of all ops need of torch's tensors.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cstdint>
#include <initializer_list>

#include "dtype.h"

namespace cornernet {

// The dtype of a tensor that check_floating or check_pixels accepts.
inline Dtype dtype_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kByte:
      return Dtype::kByte;
    case at::kHalf:
      return Dtype::kHalf;
    case at::kBFloat16:
      return Dtype::kBFloat16;
    case at::kDouble:
      return Dtype::kDouble;
    default:
      return Dtype::kFloat;
  }
}

// The dtype of a computation on tensors of several dtypes: float64 if one of them is, else float32.
inline at::ScalarType computation_dtype(std::initializer_list<at::Tensor> tensors) {
  at::ScalarType dtype = at::kFloat;
  for (const at::Tensor& tensor : tensors) {
    dtype = tensor.scalar_type() == at::kDouble ? at::kDouble : dtype;
  }
  return dtype;
}

// Workspace on a tensor's device.
inline at::Tensor empty_bytes(const at::Tensor& tensor, int64_t bytes) {
  return at::empty({bytes}, tensor.options().dtype(at::kByte));
}

}  // namespace cornernet
