// How values compare in a running maximum, written for loops that the compiler vectorizes.
//
// is_new_max(x, m): x becomes the maximum after m. Equal elements take over, so the last of equals
// wins; NaN takes over from everything and only another NaN from it. This is torch.cummax's rule.
#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <cstdint>

#include "simd.h"

namespace cornernet {

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

// 16-bit floats compare as integers, with twice the lanes of a conversion to float32. The key of a
// sign-and-magnitude number is its two's complement; both zeros are 0, every NaN is the largest.
template <uint16_t infinity>
CORNERNET_INLINE int16_t key16(uint16_t bits) {
  const int16_t magnitude = static_cast<int16_t>(bits & 0x7fff);
  const int16_t negated = static_cast<int16_t>(-magnitude);
  const int16_t value = static_cast<int16_t>(bits) < 0 ? negated : magnitude;
  return magnitude > static_cast<int16_t>(infinity) ? INT16_MAX : value;
}

CORNERNET_INLINE int16_t key(c10::Half value) {
  return key16<0x7c00>(value.x);
}
CORNERNET_INLINE int16_t key(c10::BFloat16 value) {
  return key16<0x7f80>(value.x);
}
// Wider floats are their own keys.
CORNERNET_INLINE float key(float value) {
  return value;
}
CORNERNET_INLINE double key(double value) {
  return value;
}

template <typename T>
CORNERNET_INLINE bool is_new_max(T x, T m) {
  if constexpr (sizeof(T) == 2) {
    return key(x) >= key(m);
  } else {
    return (x >= m) | (x != x);
  }
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

// The type in which values of T are added up and reported.
template <typename T>
struct Wide {
  using type = float;
};
template <>
struct Wide<double> {
  using type = double;
};

}  // namespace cornernet
