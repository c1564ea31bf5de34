// Whole numbers, for host and device code. No torch here: device code includes this.
#pragma once

#include "host_device.h"

namespace cornernet {

template <typename T>
CORNERNET_HOST_DEVICE T min(T a, T b) {
  return a < b ? a : b;
}
template <typename T>
CORNERNET_HOST_DEVICE T max(T a, T b) {
  return a > b ? a : b;
}
template <typename T>
CORNERNET_HOST_DEVICE T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}
template <typename T>
CORNERNET_HOST_DEVICE T round_down(T a, T b) {
  return a / b * b;
}

}  // namespace cornernet
