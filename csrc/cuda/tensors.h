// What the launchers of all ops for CUDA do with torch's tensors.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include <string>
#include <tuple>

namespace cornernet::cuda {

using c10::cuda::getCurrentCUDAStream;

// The op's reference, on the same device: for sizes that no kernel is made for. It stands under no
// key of its own, so it is what an empty set of keys leads to.
template <typename Args>
typename Args::Result reference(const Args& args) {
  const std::string name = std::string("cornernet::") + Args::kOp;
  const auto op = c10::Dispatcher::singleton()
                      .findSchemaOrThrow(name.c_str(), "")
                      .template typed<typename Args::Signature>();
  return std::apply(
      [&](const auto&... given) { return op.redispatch(c10::DispatchKeySet(), given...); },
      args.given);
}

}  // namespace cornernet::cuda
