// Floating values by their bits, and how they compare in a running maximum.
//
// Values are compared as integers. That is exact for every value, whatever the device's float unit
// does with denormals, and it has no NaN rule of its own: simd_max forgets a NaN on one of its
// sides.
#pragma once

#include "../common/compare.h"
#include "launch.h"

namespace cornernet::sdaa {

struct Float32 {
  using Bits = int;
  using Vector = intv16;
  static constexpr int kLanes = 16;
  static constexpr Bits kMagnitude = 0x7fffffff;
  static constexpr Bits kInfinity = 0x7f800000;
  static constexpr Bits kLargest = 0x7fffffff;
  static constexpr Bits kOne = 0x3f800000;
};

struct Float16 {
  using Bits = short;
  using Vector = shortv32;
  static constexpr int kLanes = 32;
  static constexpr Bits kMagnitude = 0x7fff;
  static constexpr Bits kInfinity = 0x7c00;
  static constexpr Bits kLargest = 0x7fff;
  static constexpr Bits kOne = 0x3c00;
};

struct BFloat16 {
  using Bits = short;
  using Vector = shortv32;
  static constexpr int kLanes = 32;
  static constexpr Bits kMagnitude = 0x7fff;
  static constexpr Bits kInfinity = 0x7f80;
  static constexpr Bits kLargest = 0x7fff;
  static constexpr Bits kOne = 0x3f80;
};

// order_key of common/compare.h for vectors.
template <typename T>
class Order {
 public:
  using Vector = typename T::Vector;

  __device__ Order()
      : magnitude_(simd_stretch(T::kMagnitude)),
        infinity_(simd_stretch(T::kInfinity)),
        largest_(simd_stretch(T::kLargest)) {}

  __device__ Vector key(Vector bits) const {
    const Vector magnitude = simd_band(bits, magnitude_);
    const Vector value = simd_sellt(bits, simd_neg(magnitude), magnitude);
    return simd_sellt(simd_sub(infinity_, magnitude), largest_, value);
  }

 private:
  Vector magnitude_;
  Vector infinity_;
  Vector largest_;
};

// The same for one value.
template <typename T>
__device__ int key_of(int bits) {
  using Bits = typename T::Bits;
  return order_key<Bits, T::kInfinity>(static_cast<Bits>(bits));
}

// The running maximum of a vector of lanes: is_new_max of common/compare.h on keys, for vectors.
template <typename T>
class Maximum {
 public:
  using Vector = typename T::Vector;

  __device__ Maximum(const Order<T>& order, Vector first)
      : order_(order), value_(first), key_(order.key(first)) {}

  // 1 in the lanes whose maximum stays, 0 where x is the new one.
  __device__ Vector offer(Vector x) {
    const Vector key = order_.key(x);
    const Vector stays = simd_cmplt(key, key_);
    value_ = simd_seleq(stays, x, value_);
    key_ = simd_seleq(stays, key, key_);
    return stays;
  }

  __device__ Vector value() const { return value_; }

 private:
  const Order<T>& order_;
  Vector value_;
  Vector key_;
};

}  // namespace cornernet::sdaa
