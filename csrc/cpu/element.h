// Elements of tensors: how they compare, for loops that the compiler vectorizes, and the type in
// which they are added up.
#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "../common/compare.h"
#include "simd.h"

namespace cornernet::cpu {

// Integers of the width of an element.
template <int bytes>
struct IntegerOf;
template <>
struct IntegerOf<2> {
  using type = int16_t;
};
template <>
struct IntegerOf<4> {
  using type = int32_t;
};
template <>
struct IntegerOf<8> {
  using type = int64_t;
};

// What elements compare by. 16-bit floats compare as integers, twice as many in a vector as after a
// conversion to float32; wider ones are their own keys.
CORNERNET_INLINE int16_t key(c10::Half value) {
  return order_key<int16_t, 0x7c00>(static_cast<int16_t>(value.x));
}
CORNERNET_INLINE int16_t key(c10::BFloat16 value) {
  return order_key<int16_t, 0x7f80>(static_cast<int16_t>(value.x));
}
CORNERNET_INLINE float key(float value) {
  return value;
}
CORNERNET_INLINE double key(double value) {
  return value;
}

// The rule of common/compare.h for elements.
template <typename T>
CORNERNET_INLINE bool is_new_max(T x, T m) {
  const auto key_x = key(x);
  const auto key_m = key(m);
  return cornernet::is_new_max(key_x, key_m);
}

// choice ? a : b, on the bits: a choice between structs would be one between their addresses, which
// no compiler makes a vector of.
template <typename T>
CORNERNET_INLINE T choose(bool choice, T a, T b) {
  if constexpr (sizeof(T) == 2) {
    return T(static_cast<uint16_t>(choice ? a.x : b.x), T::from_bits());
  } else {
    return choice ? a : b;
  }
}

// The bits of an element, as they compare in a vector.
template <typename T>
using Lane = typename IntegerOf<sizeof(T)>::type;

// The bits of -infinity, which every value replaces.
template <typename T>
constexpr Lane<T> kLowest = static_cast<Lane<T>>(
    std::is_same_v<T, c10::Half>       ? 0xfc00
    : std::is_same_v<T, c10::BFloat16> ? 0xff80
    : std::is_same_v<T, float>         ? 0xff800000
                                       : 0xfff0000000000000);

// The value that every other replaces as a maximum.
template <typename T>
CORNERNET_INLINE T lowest() {
  const Lane<T> bits = kLowest<T>;
  T value;
  std::memcpy(static_cast<void*>(&value), &bits, sizeof value);
  return value;
}

// The type in which values of T are added up and reported.
template <typename T>
struct Wide {
  using type = float;
};
template <>
struct Wide<double> {
  using type = double;
};

}  // namespace cornernet::cpu
