// What the parts of the plug-in share: the device type, and errors of the runtime as exceptions.
#pragma once

#include <ATen/core/Generator.h>
#include <c10/core/Allocator.h>
#include <c10/core/Device.h>
#include <c10/util/Exception.h>
#include <sdaa_runtime.h>

#include <cstdint>
#include <string>
#include <unordered_map>

namespace torch_sdaa {

constexpr c10::DeviceType kSDAA = c10::DeviceType::PrivateUse1;

#define SDAA_CHECK(call)                                                               \
  do {                                                                                 \
    const sdaaError_t error_ = (call);                                                 \
    TORCH_CHECK(error_ == sdaaSuccess, "SDAA error: ", sdaaGetErrorString(error_));    \
  } while (false)

// A process that was forked after the first use of a device may not use one. Refused here as
// drivers refuse it; host memory alone would let it pass.
bool is_in_bad_fork();
void check_fork();

c10::DeviceIndex device_count();
c10::DeviceIndex current_device();
void set_device(c10::DeviceIndex index);

struct MemoryCounts {
  int64_t now = 0;
  int64_t peak = 0;
};
MemoryCounts memory_counts(c10::DeviceIndex index);
void reset_peak(c10::DeviceIndex index);

c10::Allocator* device_allocator();
c10::Allocator* pinned_allocator();
bool is_pinned(const void* pointer);

sdaaStream_t current_stream(c10::DeviceIndex index);
sdaaStream_t default_stream(c10::DeviceIndex index);
void set_stream(c10::DeviceIndex index, sdaaStream_t stream);
sdaaStream_t new_stream(c10::DeviceIndex index);

at::Generator& default_generator(c10::DeviceIndex index);

// How often the host has waited for a device: for a copy to it, a scalar, or a synchronisation.
void count_host_wait();
int64_t host_waits();
void clear_host_waits();

// Names of ATen's ops that have run on the CPU for want of a kernel, and how often.
std::unordered_map<std::string, int64_t> fallback_counts();
void clear_fallback_counts();

}  // namespace torch_sdaa
