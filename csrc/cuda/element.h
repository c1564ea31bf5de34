// Elements of tensors in device code: the four floating types, how they are widened, and how values
// compare in a running maximum.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "../common/compare.h"

namespace cornernet::cuda {

// 16-bit floats as they lie in memory. Structs without constructors, so that vectors of them are
// loaded and stored whole.
struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

// The type in which values of T are compared, added up and reported.
template <typename T>
struct WideOf {
  using Type = float;
};
template <>
struct WideOf<double> {
  using Type = double;
};
template <typename T>
using Wide = typename WideOf<T>::Type;

__device__ inline float widen(float value) {
  return value;
}
__device__ inline double widen(double value) {
  return value;
}
__device__ inline float widen(Half value) {
  return __half2float(__ushort_as_half(value.bits));
}
__device__ inline float widen(BFloat16 value) {
  return __uint_as_float(static_cast<unsigned>(value.bits) << 16);
}

// To the nearest, ties to even.
template <typename T>
__device__ inline T narrow(Wide<T> value) {
  return value;
}
template <>
__device__ inline Half narrow<Half>(float value) {
  return {__half_as_ushort(__float2half_rn(value))};
}
template <>
__device__ inline BFloat16 narrow<BFloat16>(float value) {
  return {__bfloat16_as_ushort(__float2bfloat16_rn(value))};
}

// The maximum of a part of a line whose maximum is m and the part after it, whose maximum is x, by
// the rule of common/compare.h. Associative, so that lines may be cut anywhere.
template <typename W>
__device__ inline W later_maximum(W m, W x) {
  return is_new_max(x, m) ? x : m;
}

// What everything replaces as a maximum.
template <typename W>
__device__ inline W lowest() {
  return static_cast<W>(-INFINITY);
}

// N elements that are loaded and stored at once.
template <typename T, int N>
struct alignas(sizeof(T) * N) Vector {
  T at[N];
};

template <int N, typename T>
__device__ inline Vector<T, N> load(const T* from) {
  return *reinterpret_cast<const Vector<T, N>*>(from);
}
template <int N, typename T>
__device__ inline void store(T* to, const Vector<T, N>& vector) {
  *reinterpret_cast<Vector<T, N>*>(to) = vector;
}
template <int N, typename T>
__device__ inline Vector<T, N> filled(T value) {
  Vector<T, N> vector;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    vector.at[i] = value;
  }
  return vector;
}

}  // namespace cornernet::cuda
