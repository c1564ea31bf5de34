// How a device's launchers become the kernels of the ops.
//
// An op's arguments are one struct in common/<op>_args.h, derived from Call. Its constructor takes
// what the dispatcher passes and checks it. A launcher takes that struct.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceGuard.h>
#include <torch/library.h>

#include <tuple>

namespace cornernet {

template <typename OpSignature>
struct Call;
template <typename OpResult, typename... Parameters>
struct Call<OpResult(Parameters...)> {
  using Signature = OpResult(Parameters...);
  using Result = OpResult;

  // What the op was called with, for another implementation of it.
  std::tuple<Parameters...> given;
};

namespace registration_detail {

template <typename Args, auto launcher, typename Signature>
struct Kernel;
template <typename Args, auto launcher, typename Result, typename First, typename... Rest>
struct Kernel<Args, launcher, Result(First, Rest...)> {
  static Result run(First first, Rest... rest) {
    const c10::OptionalDeviceGuard guard(first.device());
    return launcher(Args(first, rest...));
  }
};

}  // namespace registration_detail

// Registers `launcher` as a kernel of the op Args::kOp. It runs with the first tensor's device as
// the current one.
template <typename Args, auto launcher>
void implement(torch::Library& library) {
  using Kernel = registration_detail::Kernel<Args, launcher, typename Args::Signature>;
  library.impl(Args::kOp, &Kernel::run);
}

}  // namespace cornernet
