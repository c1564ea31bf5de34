// What the launchers of all ops for SDAA do with torch's tensors.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

namespace cornernet::sdaa {

// The dtypes of the kernels' launchers.
inline int kernel_dtype(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kFloat ? 0 : tensor.scalar_type() == at::kHalf ? 1 : 2;
}

// The same tensor, or a copy where its memory does not begin at a multiple of four bytes, which the
// device's copies ask for: a view of 16-bit elements may begin between.
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

inline at::Device device_of(const at::Tensor& first) {
  return first.device();
}
template <typename... Rest>
at::Device device_of(const at::Tensor& first, const Rest&...) {
  return first.device();
}

}  // namespace tensors_detail

// An op of ours by its name; `Signature` is that of its kernels.
template <typename Signature, typename... Arguments>
auto call(const char* op, const Arguments&... arguments) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow((std::string("cornernet::") + op).c_str(), "")
      .typed<Signature>()
      .call(arguments...);
}

// Runs the op on the CPU and brings its results back: for float64, which the device computes slowly
// if at all, and for sizes that no scratchpad holds.
template <typename Signature, typename... Arguments>
auto on_cpu(const char* op, const Arguments&... arguments) {
  return tensors_detail::to_device(
      call<Signature>(op, tensors_detail::to_cpu(arguments)...),
      tensors_detail::device_of(arguments...));
}

}  // namespace cornernet::sdaa
