// What the launchers of all ops for CUDA do with torch's tensors.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <string>

#include "../common/dtype.h"

namespace cornernet::cuda {

// Of a tensor that check_floating let pass.
inline Dtype dtype_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
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

// The op's reference, on the same device: for sizes that no kernel is made for. It stands under no
// key of its own, so it is what an empty set of keys leads to.
template <typename Signature, typename... Arguments>
auto reference(const char* op, const Arguments&... arguments) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow((std::string("cornernet::") + op).c_str(), "")
      .typed<Signature>()
      .redispatch(c10::DispatchKeySet(), arguments...);
}

}  // namespace cornernet::cuda
