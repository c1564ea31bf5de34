// Whole numbers, for host and device code. No torch here: device code includes this.
#pragma once

#include "anywhere.h"

namespace cornernet {

template <typename T>
CORNERNET_ANYWHERE T smaller(T a, T b) {
  return a < b ? a : b;
}
template <typename T>
CORNERNET_ANYWHERE T larger(T a, T b) {
  return a > b ? a : b;
}
template <typename T>
CORNERNET_ANYWHERE T divided_up(T a, T b) {
  return (a + b - 1) / b;
}
template <typename T>
CORNERNET_ANYWHERE T rounded_down(T a, T b) {
  return a / b * b;
}

}  // namespace cornernet
