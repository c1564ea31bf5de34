// ATen on the device: what only a back end can do (memory, copies, views), and the fallback that
// runs every other op on the CPU and counts it.
//
// The fallback hands the CPU's kernels the device's own memory, through the simulator's second view
// of it. So also what a kernel changes without its schema saying so is changed on the device:
// native_batch_norm does that to the running statistics.

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/autocast_mode.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/DeviceGuard.h>
#include <sdaa_simulator.h>
#include <torch/library.h>
#include <torch/version.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <vector>

#include "runtime.h"

namespace torch_sdaa {
namespace {

using at::IntArrayRef;
using at::Tensor;

std::mutex counts_mutex;
std::unordered_map<std::string, int64_t> counts;

void count(const std::string& name) {
  const std::lock_guard<std::mutex> lock(counts_mutex);
  ++counts[name];
}

// What the fallback copies has nothing to do with waiting: a card's kernels would not.
thread_local bool in_fallback = false;

void count_wait() {
  if (!in_fallback) {
    count_host_wait();
  }
}

// A tensor on the CPU that is the device's memory itself.
Tensor host_view(const Tensor& tensor) {
  if (!tensor.defined() || !tensor.is_privateuseone()) {
    return tensor;
  }
  const at::TensorOptions options = tensor.options().device(at::kCPU);
  if (tensor.numel() == 0) {
    return at::empty_strided(tensor.sizes(), tensor.strides(), options);
  }
  void* data = sdaaSimulatorHostAddress(tensor.data_ptr());
  TORCH_CHECK(data != nullptr, "the tensor's memory is not the device's");
  return at::from_blob(data, tensor.sizes(), tensor.strides(), options);
}

// Factories

Tensor empty(
    IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
    std::optional<at::Device> device, std::optional<bool> pin_memory,
    std::optional<at::MemoryFormat> format) {
  TORCH_CHECK(!pin_memory.value_or(false), "Only tensors on the CPU can be pinned");
  const c10::OptionalDeviceGuard guard(device);
  return at::detail::empty_generic(
      size, device_allocator(), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
      at::dtype_or_default(dtype), format);
}

Tensor empty_strided(
    IntArrayRef size, IntArrayRef stride, std::optional<at::ScalarType> dtype,
    std::optional<at::Layout>, std::optional<at::Device> device, std::optional<bool> pin_memory) {
  TORCH_CHECK(!pin_memory.value_or(false), "Only tensors on the CPU can be pinned");
  const c10::OptionalDeviceGuard guard(device);
  return at::detail::empty_strided_generic(
      size, stride, device_allocator(), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
      at::dtype_or_default(dtype));
}

// Copies

Tensor copy_from(const Tensor& self, const Tensor& dst, bool) {
  const Tensor& on_device = dst.is_privateuseone() ? dst : self;
  const c10::DeviceGuard guard(on_device.device());
  if (!dst.is_privateuseone()) {
    count_wait();
  }
  const bool same = self.dtype() == dst.dtype() && self.sizes() == dst.sizes() &&
                    self.strides() == dst.strides() && self.is_non_overlapping_and_dense() &&
                    !self.is_conj() && !self.is_neg();
  if (!same) {
    host_view(dst).copy_(host_view(self));
    return dst;
  }
  const sdaaMemcpyKind kind = !self.is_privateuseone() ? sdaaMemcpyHostToDevice
                              : dst.is_privateuseone() ? sdaaMemcpyDeviceToDevice
                                                       : sdaaMemcpyDeviceToHost;
  SDAA_CHECK(sdaaMemcpyAsync(
      dst.data_ptr(), self.data_ptr(), self.nbytes(), kind,
      current_stream(on_device.device().index())));
  return dst;
}

Tensor copy_from_and_resize(const Tensor& self, const Tensor& dst) {
  if (dst.sizes() != self.sizes()) {
    dst.resize_(self.sizes());
  }
  return copy_from(self, dst, false);
}

at::Scalar local_scalar_dense(const Tensor& self) {
  count_wait();
  return at::_local_scalar_dense(host_view(self));
}

// Storage

void grow(const c10::Storage& storage, size_t bytes) {
  if (bytes > storage.nbytes()) {
    at::detail::getPrivateUse1Hooks().resizePrivateUse1Bytes(storage, bytes);
  }
}

const Tensor& resize_(
    const Tensor& self, IntArrayRef size, std::optional<at::MemoryFormat> format) {
  auto* impl = self.unsafeGetTensorImpl();
  impl->set_sizes_contiguous(size);
  const size_t last = impl->numel() + impl->storage_offset();
  grow(self.storage(), impl->numel() == 0 ? 0 : last * impl->itemsize());
  if (format.has_value()) {
    impl->empty_tensor_restride(*format);
  }
  return self;
}

Tensor& set_storage_(
    Tensor& self, at::Storage source, int64_t offset, IntArrayRef size, IntArrayRef stride) {
  TORCH_CHECK(source.device() == self.device(), "set_: the storage is on another device");
  auto* impl = self.unsafeGetTensorImpl();
  impl->set_storage_keep_dtype(std::move(source));
  if (stride.size() == size.size()) {
    impl->set_sizes_and_strides(size, stride);
  } else {
    impl->set_sizes_contiguous(size);
  }
  impl->set_storage_offset(offset);
  grow(
      self.storage(),
      at::detail::computeStorageNbytes(
          impl->sizes(), impl->strides(), impl->itemsize(), static_cast<size_t>(offset)));
  return self;
}

Tensor& set_source_storage_(Tensor& self, at::Storage source) {
  const int64_t length = static_cast<int64_t>(source.nbytes() / self.itemsize());
  return set_storage_(self, std::move(source), 0, {length}, {});
}

Tensor& set_source_tensor_(Tensor& self, const Tensor& source) {
  return set_storage_(
      self, source.storage(), source.storage_offset(), source.sizes(), source.strides());
}

Tensor& set_empty_(Tensor& self) {
  const c10::DeviceGuard guard(self.device());
  at::Storage storage(
      at::Storage::use_byte_size_t(), 0, device_allocator()->allocate(0), device_allocator(), true);
  return set_storage_(self, std::move(storage), 0, {0}, {});
}

void record_stream(Tensor&, at::Stream) {}

// Before torch 2.6 pinning is an op, and not one of the hooks.
#if TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR < 6
bool is_pinned_op(const Tensor& self, std::optional<at::Device>) {
  return self.is_cpu() && is_pinned(self.storage().data());
}

Tensor pin_memory(const Tensor& self, std::optional<at::Device>) {
  const Tensor pinned = at::detail::empty_strided_generic(
      self.sizes(), self.strides(), pinned_allocator(),
      c10::DispatchKeySet(c10::DispatchKey::CPU), self.scalar_type());
  pinned.copy_(self);
  return pinned;
}
#endif

// Convolution: composite ops in ATen, which end in these two on a device without its own.

Tensor convolution(
    const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
    IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation, bool transposed,
    IntArrayRef output_padding, int64_t groups) {
  count("aten::convolution");
  const std::optional<Tensor> host_bias =
      bias.has_value() ? std::optional<Tensor>(host_view(*bias)) : std::nullopt;
  return at::convolution(
             host_view(input), host_view(weight), host_bias, stride, padding, dilation, transposed,
             output_padding, groups)
      .to(input.device());
}

std::tuple<Tensor, Tensor, Tensor> convolution_backward(
    const Tensor& grad, const Tensor& input, const Tensor& weight, IntArrayRef stride,
    IntArrayRef padding, IntArrayRef dilation, bool transposed, IntArrayRef output_padding,
    int64_t groups, std::array<bool, 3> mask) {
  count("aten::convolution_backward");
  const int64_t channels = transposed ? weight.size(1) * groups : weight.size(0);
  const auto [x, w, b] = at::convolution_backward(
      host_view(grad), host_view(input), host_view(weight), IntArrayRef(channels), stride, padding,
      dilation, transposed, output_padding, groups, mask);
  const auto back = [&](const Tensor& host) {
    return host.defined() ? host.to(input.device()) : host;
  };
  return {back(x), back(w), back(b)};
}

// The fallback

struct Passed {
  Tensor device;
  Tensor host;
};

class Call {
 public:
  explicit Call(const c10::OperatorHandle& op) : op_(op) {}

  void run(torch::jit::Stack* stack) {
    const auto& arguments = op_.schema().arguments();
    const size_t first = stack->size() - arguments.size();
    for (size_t i = 0; i < arguments.size(); ++i) {
      find_device((*stack)[first + i]);
    }
    for (size_t i = 0; i < arguments.size(); ++i) {
      pass(arguments[i], (*stack)[first + i]);
    }
    op_.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
    if (generator_.defined()) {
      copy_state(cpu_generator_, generator_);
    }
    for (const Passed& out : outs_) {
      copy_from_and_resize(out.host, out.device);
    }
    const size_t returns = op_.schema().returns().size();
    for (size_t i = stack->size() - returns; i < stack->size(); ++i) {
      give_back((*stack)[i]);
    }
  }

 private:
  void find_device(const c10::IValue& value) {
    if (value.isTensor()) {
      note_device(value.toTensor());
    } else if (value.isTensorList()) {
      for (const Tensor& one : value.toTensorVector()) {
        note_device(one);
      }
    } else if (value.isOptionalTensorList()) {
      for (const std::optional<Tensor>& one : value.toOptionalTensorList()) {
        if (one.has_value()) {
          note_device(*one);
        }
      }
    } else if (value.isDevice() && !device_.has_value()) {
      device_ = value.toDevice();
    }
  }

  // A card would not find memory of the host, nor of another card. Numbers may be anywhere.
  void note_device(const Tensor& tensor) {
    if (!tensor.defined() || (tensor.is_cpu() && tensor.dim() == 0)) {
      return;
    }
    if (!device_.has_value()) {
      device_ = tensor.device();
    }
    TORCH_CHECK(
        tensor.device() == *device_, op_.schema().name(),
        ": expected all tensors to be on the same device, but found at least two devices, ",
        *device_, " and ", tensor.device());
  }

  Tensor on_host(const Tensor& tensor) {
    if (!tensor.defined() || !tensor.is_privateuseone()) {
      return tensor;
    }
    views_.push_back({tensor, host_view(tensor)});
    return views_.back().host;
  }

  void pass(const c10::Argument& argument, c10::IValue& value) {
    if (value.isTensor()) {
      const Tensor tensor = value.toTensor();
      if (argument.is_out() && tensor.is_privateuseone()) {
        // Kernels resize what they write to, which a view of the device's memory cannot be.
        outs_.push_back({tensor, tensor.cpu()});
        value = outs_.back().host;
      } else {
        value = on_host(tensor);
      }
    } else if (value.isTensorList()) {
      c10::List<Tensor> list;
      for (const Tensor& one : value.toTensorVector()) {
        list.push_back(on_host(one));
      }
      value = list;
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<Tensor>> list;
      for (const std::optional<Tensor>& one : value.toOptionalTensorList()) {
        list.push_back(one.has_value() ? std::optional<Tensor>(on_host(*one)) : one);
      }
      value = list;
    } else if (value.isDevice()) {
      value = at::Device(at::kCPU);
    } else if (argument.name() == "generator") {
      pass_generator(value);
    }
  }

  // The CPU's kernels take the CPU's generators: one with our state, which is taken back.
  void pass_generator(c10::IValue& value) {
    generator_ = value.isNone() ? default_generator(device_->index()) : value.toGenerator();
    if (generator_.device().type() != kSDAA) {
      TORCH_CHECK(
          false, "Expected a 'sdaa' device type for generator but found '",
          generator_.device().type(), "'");
    }
    cpu_generator_ = at::make_generator<at::CPUGeneratorImpl>();
    copy_state(generator_, cpu_generator_);
    value = cpu_generator_;
  }

  static void copy_state(at::Generator from, at::Generator to) {
    const std::lock_guard<std::mutex> lock_from(from.mutex());
    const std::lock_guard<std::mutex> lock_to(to.mutex());
    auto* source = static_cast<at::CPUGeneratorImpl*>(from.unsafeGetGeneratorImpl());
    auto* target = static_cast<at::CPUGeneratorImpl*>(to.unsafeGetGeneratorImpl());
    target->set_engine(source->engine());
    target->set_next_float_normal_sample(source->next_float_normal_sample());
    target->set_next_double_normal_sample(source->next_double_normal_sample());
  }

  Tensor on_device(const Tensor& host) const {
    if (!host.defined() || !device_.has_value()) {
      return host;
    }
    const auto is_it = [&](const Passed& one) { return one.host.is_same(host); };
    for (const std::vector<Passed>* passed : {&views_, &outs_}) {
      const auto found = std::find_if(passed->begin(), passed->end(), is_it);
      if (found != passed->end()) {
        return found->device;
      }
    }
    for (const Passed& one : views_) {
      TORCH_CHECK(
          !host.has_storage() || host.numel() == 0 || !one.host.is_alias_of(host),
          op_.schema().name(), " gives a view, which the fallback cannot make of device memory");
    }
    return host.to(*device_);
  }

  void give_back(c10::IValue& value) const {
    if (value.isTensor()) {
      value = on_device(value.toTensor());
    } else if (value.isTensorList()) {
      c10::List<Tensor> list;
      for (const Tensor& one : value.toTensorVector()) {
        list.push_back(on_device(one));
      }
      value = list;
    }
  }

  const c10::OperatorHandle& op_;
  std::optional<at::Device> device_;
  std::vector<Passed> views_;
  std::vector<Passed> outs_;
  at::Generator generator_;
  at::Generator cpu_generator_;
};

void fallback(const c10::OperatorHandle& op, c10::DispatchKeySet, torch::jit::Stack* stack) {
  count(op.schema().name());
  const bool before = in_fallback;
  in_fallback = true;
  // Also where the op throws.
  const auto restore = [before](void*) { in_fallback = before; };
  const std::unique_ptr<void, decltype(restore)> guard(stack, restore);
  Call(op).run(stack);
}

}  // namespace

std::unordered_map<std::string, int64_t> fallback_counts() {
  const std::lock_guard<std::mutex> lock(counts_mutex);
  return counts;
}

void clear_fallback_counts() {
  const std::lock_guard<std::mutex> lock(counts_mutex);
  counts.clear();
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", &empty);
  m.impl("empty_strided", &empty_strided);
  m.impl("_copy_from", &copy_from);
  m.impl("_copy_from_and_resize", &copy_from_and_resize);
  m.impl("_local_scalar_dense", &local_scalar_dense);
  m.impl("view", &at::native::view);
  m.impl("as_strided", &at::native::as_strided_tensorimpl);
  m.impl("_reshape_alias", &at::native::_reshape_alias);
  m.impl("unfold", &at::native::unfold);
  m.impl("resize_", &resize_);
  m.impl("set_.source_Storage_storage_offset", &set_storage_);
  m.impl("set_.source_Storage", &set_source_storage_);
  m.impl("set_.source_Tensor", &set_source_tensor_);
  m.impl("set_", &set_empty_);
  m.impl("record_stream", &record_stream);
  m.impl("convolution_overrideable", &convolution);
  m.impl("convolution_backward_overrideable", &convolution_backward);
#if TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR < 6
  m.impl("is_pinned", &is_pinned_op);
  m.impl("_pin_memory", &pin_memory);
#endif
}

// Autocast: no version of torch has rules for PrivateUse1; these are ATen's own lists, and what is
// in none of them keeps its dtypes.

TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFallthrough());
}

}  // namespace torch_sdaa

namespace at {
namespace autocast {

TORCH_LIBRARY_IMPL(aten, AutocastPrivateUse1, m) {
#define LOWER_PRECISION(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, lower_precision_fp)
  AT_FORALL_LOWER_PRECISION_FP(LOWER_PRECISION)
#define FULL_PRECISION(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32)
  AT_FORALL_FP32(FULL_PRECISION)
#define OPTIONAL_DTYPE(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32_set_opt_dtype)
  AT_FORALL_FP32_SET_OPT_DTYPE(OPTIONAL_DTYPE)
  AT_FORALL_DIFFERENT_REDISPATCH_SIGNATURE(KERNEL_DIFFERENT_REDISPATCH_SIGNATURE_PRIVATEUSEONE)
#define WIDEST(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, promote)
  AT_FORALL_PROMOTE(WIDEST)
}

}  // namespace autocast
}  // namespace at
