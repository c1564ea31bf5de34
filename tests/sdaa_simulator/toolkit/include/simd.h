/* The SIMD types and functions of SDAA C, as far as this project's kernels use them. */
#pragma once

#include "sdaa_language.h"

typedef int32_t intv16 __attribute__((vector_size(64)));
typedef uint32_t uintv16 __attribute__((vector_size(64)));
typedef int16_t shortv32 __attribute__((vector_size(64)));
typedef uint16_t ushortv32 __attribute__((vector_size(64)));
typedef float floatv16 __attribute__((vector_size(64)));

/* IEEE half precision, by its bits; arithmetic is done in float. */
struct half {
  half() = default;
  explicit half(float value) : bits(narrow(value)) {}
  operator float() const { return widen(bits); }

  static float widen(uint16_t bits) {
    const uint32_t magnitude = bits & 0x7fffu;
    uint32_t wide = 0;
    if (magnitude >= 0x7c00u) {
      wide = (magnitude << 13) | 0x7f800000u;
    } else if (magnitude >= 0x0400u) {
      wide = (magnitude << 13) + (112u << 23);
    } else {
      const float value = static_cast<float>(magnitude) * 0x1p-24f;
      __builtin_memcpy(&wide, &value, sizeof wide);
    }
    wide |= static_cast<uint32_t>(bits & 0x8000u) << 16;
    float result;
    __builtin_memcpy(&result, &wide, sizeof result);
    return result;
  }

  static uint16_t narrow(float value) {
    uint32_t wide;
    __builtin_memcpy(&wide, &value, sizeof wide);
    const uint32_t sign = (wide >> 16) & 0x8000u;
    wide &= 0x7fffffffu;
    if (wide > 0x7f800000u) {
      return static_cast<uint16_t>(sign | 0x7e00u);
    }
    if (wide >= 0x477ff000u) { /* 65520 rounds to infinity */
      return static_cast<uint16_t>(sign | 0x7c00u);
    }
    if (wide < 0x38800000u) { /* below the smallest normal: counted in units of 2^-24 */
      float magnitude;
      __builtin_memcpy(&magnitude, &wide, sizeof magnitude);
      const float units = std::nearbyint(magnitude * 0x1p24f);
      return static_cast<uint16_t>(sign | static_cast<uint32_t>(units));
    }
    const uint32_t rounded = wide + 0xfffu + ((wide >> 13) & 1u) - (112u << 23);
    return static_cast<uint16_t>(sign | (rounded >> 13));
  }

  uint16_t bits;
};

struct alignas(32) halfv16 {
  half lanes[16];
  half& operator[](int i) { return lanes[i]; }
  const half& operator[](int i) const { return lanes[i]; }
};

namespace sdaa_simulator {

template <typename V>
struct Lane;
template <>
struct Lane<intv16> {
  using type = int32_t;
};
template <>
struct Lane<uintv16> {
  using type = uint32_t;
};
template <>
struct Lane<shortv32> {
  using type = int16_t;
};
template <>
struct Lane<ushortv32> {
  using type = uint16_t;
};
template <>
struct Lane<floatv16> {
  using type = float;
};
template <>
struct Lane<halfv16> {
  using type = half;
};

template <typename V>
using LaneOf = typename Lane<V>::type;

inline void check_aligned(const char* call, const void* pointer, size_t alignment) {
  if (reinterpret_cast<uintptr_t>(pointer) % alignment != 0) {
    refuse(call, "the address is not aligned to the vector; simd_loadu and simd_storeu take any");
  }
}

/* Which lanes of a mask of 0 and -1, as 0 and 1 of the vector's own type. */
template <typename V, typename M>
V ones(M mask) {
  return __builtin_convertvector(-mask, V);
}

}  // namespace sdaa_simulator

template <typename V>
void simd_load(V& vector, const sdaa_simulator::LaneOf<V>* source) {
  sdaa_simulator::check_aligned("simd_load", source, sizeof(V));
  __builtin_memcpy(&vector, source, sizeof(V));
}
template <typename V>
void simd_store(const V& vector, sdaa_simulator::LaneOf<V>* destination) {
  sdaa_simulator::check_aligned("simd_store", destination, sizeof(V));
  __builtin_memcpy(destination, &vector, sizeof(V));
}
template <typename V>
void simd_loadu(V& vector, const sdaa_simulator::LaneOf<V>* source) {
  sdaa_simulator::check_aligned("simd_loadu", source, sizeof(sdaa_simulator::LaneOf<V>));
  __builtin_memcpy(&vector, source, sizeof(V));
}
template <typename V>
void simd_storeu(const V& vector, sdaa_simulator::LaneOf<V>* destination) {
  sdaa_simulator::check_aligned("simd_storeu", destination, sizeof(sdaa_simulator::LaneOf<V>));
  __builtin_memcpy(destination, &vector, sizeof(V));
}

/* Comparisons: 1 where true, 0 where not, in the type compared. */
template <typename V>
V simd_cmplt(V a, V b) {
  return sdaa_simulator::ones<V>(a < b);
}
template <typename V>
V simd_cmple(V a, V b) {
  return sdaa_simulator::ones<V>(a <= b);
}
template <typename V>
V simd_cmpgt(V a, V b) {
  return sdaa_simulator::ones<V>(a > b);
}
template <typename V>
V simd_cmpge(V a, V b) {
  return sdaa_simulator::ones<V>(a >= b);
}
template <typename V>
V simd_cmpeq(V a, V b) {
  return sdaa_simulator::ones<V>(a == b);
}
template <typename V>
V simd_cmpne(V a, V b) {
  return sdaa_simulator::ones<V>(a != b);
}

/* 2 where a lane is NaN, else 0. */
inline floatv16 simd_isnan(floatv16 a) {
  return __builtin_convertvector(-(a != a), floatv16) * 2.0f;
}

/* Lane by lane: a == 0 (<= 0, < 0) ? b : c. */
template <typename V>
V simd_seleq(V a, V b, V c) {
  return a == 0 ? b : c;
}
template <typename V>
V simd_selle(V a, V b, V c) {
  return a <= 0 ? b : c;
}
template <typename V>
V simd_sellt(V a, V b, V c) {
  return a < 0 ? b : c;
}

/* Only of floats, and not symmetric: a NaN in a is the result, a NaN in b is not. */
inline floatv16 simd_max(floatv16 a, floatv16 b) {
  return (a >= b) | (a != a) | (b != b) ? a : b;
}
inline floatv16 simd_min(floatv16 a, floatv16 b) {
  return (a <= b) | (a != a) | (b != b) ? a : b;
}

template <typename V>
V simd_add(V a, V b) {
  return a + b;
}
template <typename V>
V simd_sub(V a, V b) {
  return a - b;
}
template <typename V>
V simd_mul(V a, V b) {
  return a * b;
}
template <typename V>
V simd_band(V a, V b) {
  return a & b;
}
template <typename V>
V simd_bor(V a, V b) {
  return a | b;
}
template <typename V>
V simd_bxor(V a, V b) {
  return a ^ b;
}
template <typename V>
V simd_neg(V a) {
  return -a;
}

inline floatv16 simd_cvt_h2f(halfv16 a) {
  floatv16 wide;
  for (int i = 0; i < 16; ++i) {
    wide[i] = a.lanes[i];
  }
  return wide;
}
inline halfv16 simd_cvt_f2h(floatv16 a) {
  halfv16 narrow;
  for (int i = 0; i < 16; ++i) {
    narrow.lanes[i] = half(a[i]);
  }
  return narrow;
}

inline intv16 simd_stretch(int a) {
  return intv16{} + a;
}
inline shortv32 simd_stretch(short a) {
  return shortv32{} + a;
}
inline floatv16 simd_stretch(float a) {
  return floatv16{} + a;
}

inline int simd_redsum(intv16 a) {
  int sum = 0;
  for (int i = 0; i < 16; ++i) {
    sum += a[i];
  }
  return sum;
}
inline short simd_redsum(shortv32 a) {
  int sum = 0;
  for (int i = 0; i < 32; ++i) {
    sum += a[i];
  }
  return static_cast<short>(sum);
}
inline float simd_redsum(floatv16 a) {
  float sum = 0;
  for (int i = 0; i < 16; ++i) {
    sum += a[i];
  }
  return sum;
}
