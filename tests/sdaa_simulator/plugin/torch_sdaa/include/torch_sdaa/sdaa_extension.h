// What an extension in C++ gets from the plug-in: the stream to launch on.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <sdaa_runtime.h>

#include <cstdint>

namespace torch {
namespace sdaa {

// The current stream of a device, -1 for the current one. Never null here.
inline sdaaStream_t getCurrentSDAAStream(c10::DeviceIndex index = -1) {
  const c10::impl::VirtualGuardImpl guard(c10::DeviceType::PrivateUse1);
  const c10::Device device =
      index < 0 ? guard.getDevice() : c10::Device(c10::DeviceType::PrivateUse1, index);
  return reinterpret_cast<sdaaStream_t>(static_cast<intptr_t>(guard.getStream(device).id()));
}

}  // namespace sdaa
}  // namespace torch
