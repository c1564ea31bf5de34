// What the launchers of all ops for SDAA do with torch's tensors.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch_sdaa/sdaa_extension.h>

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>

namespace cornernet::sdaa {

using torch::sdaa::getCurrentSDAAStream;

// The same tensor, or a copy where its memory does not begin at a multiple of four bytes, which the
// device's copies require: a view of 16-bit elements may begin between.
inline at::Tensor aligned(const at::Tensor& tensor) {
  const auto address = reinterpret_cast<uintptr_t>(tensor.const_data_ptr());
  return address % 4 == 0 ? tensor : tensor.clone();
}

namespace tensors_detail {

inline at::Tensor to_cpu(const at::Tensor& tensor) {
  return tensor.cpu();
}
inline std::optional<at::Tensor> to_cpu(const std::optional<at::Tensor>& tensor) {
  return tensor.has_value() ? std::optional<at::Tensor>(tensor->cpu()) : std::nullopt;
}
template <typename T>
const T& to_cpu(const T& value) {
  return value;
}

inline at::Tensor to_device(const at::Tensor& result, at::Device device) {
  return result.to(device);
}
template <typename... Tensors>
std::tuple<Tensors...> to_device(const std::tuple<Tensors...>& results, at::Device device) {
  return std::apply(
      [&](const auto&... one) { return std::tuple<Tensors...>(to_device(one, device)...); },
      results);
}

}  // namespace tensors_detail

// Calls an op of ours with other arguments.
template <typename Args, typename... Arguments>
typename Args::Result call(const Arguments&... arguments) {
  const std::string name = std::string("cornernet::") + Args::kOp;
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow(name.c_str(), "")
      .template typed<typename Args::Signature>()
      .call(arguments...);
}

// Runs the op on the CPU and brings its results back: for float64, which the device computes slowly
// if at all, and for sizes that no scratchpad holds.
template <typename Args>
typename Args::Result on_cpu(const Args& args) {
  const at::Device device = std::get<0>(args.given).device();
  return std::apply(
      [&](const auto&... given) {
        return tensors_detail::to_device(call<Args>(tensors_detail::to_cpu(given)...), device);
      },
      args.given);
}

}  // namespace cornernet::sdaa
