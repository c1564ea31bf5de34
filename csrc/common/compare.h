// The rule of a running maximum, for host and device code. No torch here: device code includes
// this.
#pragma once

#include <limits>

#include "host_device.h"

namespace cornernet {

// Whether x becomes the maximum after m. Equal elements do, so the last of equals wins; NaN does,
// and only another NaN replaces it. This is torch.cummax's rule. Written without branches, for
// loops that the compiler vectorizes; forms of it for vectors name it.
//
// T: float, double, or an order_key of a narrower type.
template <typename T>
CORNERNET_HOST_DEVICE_INLINE constexpr bool is_new_max(T x, T m) {
  return (x >= m) | (x != x);
}

// The bits of a floating value, a sign and a magnitude, as an integer in the order of the values:
// both zeros are 0, every NaN is the largest. `infinity` is the bits of that.
template <typename Bits, Bits infinity>
CORNERNET_HOST_DEVICE_INLINE constexpr Bits order_key(Bits bits) {
  constexpr Bits kLargest = std::numeric_limits<Bits>::max();
  const Bits magnitude = static_cast<Bits>(bits & kLargest);
  const Bits negated = static_cast<Bits>(-magnitude);
  const Bits value = bits < 0 ? negated : magnitude;
  return magnitude > infinity ? kLargest : value;
}

}  // namespace cornernet
