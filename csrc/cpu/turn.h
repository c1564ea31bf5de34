// Rows into columns: the transpose of a block in cache, by which a scan along the innermost
// dimension becomes one across it.
#pragma once

#include <cstdint>
#include <cstring>

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

#if defined(__GNUC__)

// Vectors of 16 bytes, which every processor has.
template <typename Lane>
struct Lanes {
  typedef Lane type __attribute__((vector_size(16)));
};

#if defined(__clang__)
#define CORNERNET_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define CORNERNET_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, decltype(a){__VA_ARGS__})
#endif

// The first or second halves of two vectors, lane by lane in turn.
template <typename Lane>
CORNERNET_INLINE void interleave(
    typename Lanes<Lane>::type a, typename Lanes<Lane>::type b, typename Lanes<Lane>::type* to) {
  if constexpr (sizeof(Lane) == 2) {
    to[0] = CORNERNET_SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
    to[1] = CORNERNET_SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  } else if constexpr (sizeof(Lane) == 4) {
    to[0] = CORNERNET_SHUFFLE(a, b, 0, 4, 1, 5);
    to[1] = CORNERNET_SHUFFLE(a, b, 2, 6, 3, 7);
  } else {
    to[0] = CORNERNET_SHUFFLE(a, b, 0, 2);
    to[1] = CORNERNET_SHUFFLE(a, b, 1, 3);
  }
}

#undef CORNERNET_SHUFFLE

// A square block of as many rows as a vector has lanes. Interleaving the upper half of the rows
// with the lower half, once for each bit of a row's number, moves those bits to the lane's number.
template <typename T>
CORNERNET_INLINE void turn_square(const T* from, int64_t from_stride, T* to, int64_t to_stride) {
  using Lane = typename IntegerOf<sizeof(T)>::type;
  using Vector = typename Lanes<Lane>::type;
  constexpr int kSide = sizeof(Vector) / sizeof(T);
  Vector rows[kSide];
  Vector mixed[kSide];
  for (int i = 0; i < kSide; ++i) {
    std::memcpy(&rows[i], from + i * from_stride, sizeof(Vector));
  }
  for (int bit = 1; bit < kSide; bit *= 2) {
    for (int i = 0; i < kSide / 2; ++i) {
      interleave<Lane>(rows[i], rows[i + kSide / 2], mixed + 2 * i);
    }
    for (int i = 0; i < kSide; ++i) {
      rows[i] = mixed[i];
    }
  }
  for (int i = 0; i < kSide; ++i) {
    std::memcpy(static_cast<void*>(to + i * to_stride), &rows[i], sizeof(Vector));
  }
}

template <typename T>
constexpr int64_t kSquare = 16 / sizeof(T);

#else

template <typename T>
CORNERNET_INLINE void turn_square(const T* from, int64_t, T* to, int64_t) {
  *to = *from;
}

template <typename T>
constexpr int64_t kSquare = 1;

#endif

// to[c][r] = from[r][c]; strides in elements.
template <typename T>
CORNERNET_INLINE void turn(
    const T* from, int64_t from_stride, T* to, int64_t to_stride, int64_t rows, int64_t columns) {
  const int64_t square_rows = rows - rows % kSquare<T>;
  const int64_t square_columns = columns - columns % kSquare<T>;
  for (int64_t r = 0; r < square_rows; r += kSquare<T>) {
    for (int64_t c = 0; c < square_columns; c += kSquare<T>) {
      turn_square(from + r * from_stride + c, from_stride, to + c * to_stride + r, to_stride);
    }
  }
  // What is left at the right and at the bottom.
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = r < square_rows ? square_columns : 0; c < columns; ++c) {
      to[c * to_stride + r] = from[r * from_stride + c];
    }
  }
}

}  // namespace cornernet
