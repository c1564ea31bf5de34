// 16-bit floats to float32 and back by arithmetic on their bits, for loops that the compiler
// vectorizes: c10's conversions branch or call, and a loop with one of them stays scalar.
#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <cstdint>
#include <cstring>

#include "element.h"
#include "simd.h"

namespace cornernet::cpu {

CORNERNET_INLINE uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

CORNERNET_INLINE float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// condition ? a : b without a branch that a compiler could make of it.
CORNERNET_INLINE uint32_t pick(bool condition, uint32_t a, uint32_t b) {
  return b ^ ((a ^ b) & (0u - static_cast<uint32_t>(condition)));
}

CORNERNET_INLINE double widen(double value) {
  return value;
}
CORNERNET_INLINE float widen(float value) {
  return value;
}
CORNERNET_INLINE float widen(c10::BFloat16 value) {
  return float_of(static_cast<uint32_t>(value.x) << 16);
}
CORNERNET_INLINE float widen(c10::Half value) {
  const uint32_t magnitude = value.x & 0x7fffu;
  // The exponent counts from 127 instead of 15. Infinity and NaN have the largest one; the numbers
  // below 2^-14 are multiples of 2^-24, the last place of a float32 between 0.5 and 1.
  const uint32_t normal = (magnitude << 13) + (112u << 23);
  const uint32_t infinite = (magnitude << 13) | 0x7f800000u;
  const uint32_t small = bits_of(float_of(0x3f000000u + magnitude) - 0.5f);
  const uint32_t large = pick(magnitude < 0x7c00u, normal, infinite);
  const uint32_t bits = pick(magnitude < 0x400u, small, large);
  return float_of(bits | (value.x & 0x8000u) << 16);
}

// To the nearest, ties to even.
template <typename T>
CORNERNET_INLINE T narrow(typename Wide<T>::type value) {
  if constexpr (sizeof(T) != 2) {
    return value;
  }
}
template <>
CORNERNET_INLINE c10::BFloat16 narrow<c10::BFloat16>(float value) {
  const uint32_t bits = bits_of(value);
  const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  const uint32_t nan = bits >> 16 | 0x40u;
  const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return c10::BFloat16(
      static_cast<uint16_t>(pick(is_nan, nan, rounded)), c10::BFloat16::from_bits());
}
template <>
CORNERNET_INLINE c10::Half narrow<c10::Half>(float value) {
  const uint32_t bits = bits_of(value);
  const uint32_t magnitude = bits & 0x7fffffffu;
  const uint32_t odd = magnitude >> 13 & 1u;
  const uint32_t normal = (magnitude - (112u << 23) + 0xfffu + odd) >> 13;
  // Adding 0.5 puts the last place where float16 has its smallest number, and rounds to it.
  const uint32_t small = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u;
  const uint32_t infinite = pick(magnitude > 0x7f800000u, 0x7e00u, 0x7c00u);
  const uint32_t finite = pick(magnitude < (113u << 23), small, normal);
  // 65520 is halfway between the largest number and what would follow it.
  const uint32_t rounded = pick(magnitude < 0x477ff000u, finite, infinite);
  return c10::Half(static_cast<uint16_t>(rounded | (bits >> 16 & 0x8000u)), c10::Half::from_bits());
}

}  // namespace cornernet::cpu
