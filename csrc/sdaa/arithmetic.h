// Whole numbers, for device code.
#pragma once

#include "launch.h"

namespace cornernet {

template <typename T>
__device__ __host__ T smaller(T a, T b) {
  return a < b ? a : b;
}
template <typename T>
__device__ __host__ T larger(T a, T b) {
  return a > b ? a : b;
}
template <typename T>
__device__ __host__ T divided_up(T a, T b) {
  return (a + b - 1) / b;
}
template <typename T>
__device__ __host__ T rounded_down(T a, T b) {
  return a / b * b;
}

}  // namespace cornernet
