// Scanning a panel in the scratchpad: `width` lanes side by side, row after row.
#pragma once

#include "../common/arithmetic.h"
#include "element.h"
#include "scan_tiling.h"
#include "tile.h"

namespace cornernet::sdaa {

// A vector of which only the first `count` lanes are of concern: 0 there, 1 in the others, which
// belong to the next row and are written back as they were.
template <typename Bits, typename Vector>
__device__ Vector others(int lanes, int count) {
  Vector mask = simd_stretch(static_cast<Bits>(0));
  for (int lane = count; lane < lanes; ++lane) {
    mask[lane] = 1;
  }
  return mask;
}

// Rows of a panel in the order of the scan.
struct Rows {
  int count;
  int pitch;
  bool reverse;

  __device__ int64_t at(int step) const {
    return static_cast<int64_t>(reverse ? count - 1 - step : step) * pitch;
  }
};

// The running maximum of `width` lanes, in place. `carry` [width] holds the maxima so far, unless
// the scan begins here, and those at its end afterwards.
template <typename T>
__device__ void scan_panel(
    typename T::Bits* panel, const Rows& rows, int width, typename T::Bits* carry, bool begins) {
  using Bits = typename T::Bits;
  using Vector = typename T::Vector;
  const Order<T> order;
  for (int lane = 0; lane < width; lane += T::kLanes) {
    const bool partial = width - lane < T::kLanes;
    const Vector mask = others<Bits, Vector>(T::kLanes, min(width - lane, T::kLanes));
    Bits* column = panel + lane;
    Vector first;
    simd_loadu(first, begins ? column + rows.at(0) : carry + lane);
    Maximum<T> maximum(order, first);
    for (int step = begins ? 1 : 0; step < rows.count; ++step) {
      Bits* at = column + rows.at(step);
      Vector x;
      simd_loadu(x, at);
      maximum.offer(x);
      simd_storeu(partial ? simd_seleq(mask, maximum.value(), x) : maximum.value(), at);
    }
    simd_storeu(maximum.value(), carry + lane);
  }
}

// Sixteen values, by their bits, as floats, and back.
__device__ inline floatv16 load_float(const int* from) {
  floatv16 value;
  simd_loadu(value, reinterpret_cast<const float*>(from));
  return value;
}
__device__ inline floatv16 load_float(const short* from) {
  halfv16 value;
  simd_loadu(value, reinterpret_cast<const half*>(from));
  return simd_cvt_h2f(value);
}
__device__ inline void store_float(floatv16 value, int* to) {
  simd_storeu(value, reinterpret_cast<float*>(to));
}
__device__ inline void store_float(floatv16 value, short* to) {
  simd_storeu(simd_cvt_f2h(value), reinterpret_cast<half*>(to));
}

// to += from, `count` elements that lie side by side; up to a vector more is touched behind them.
template <typename Bits>
__device__ void add_run(Bits* to, const Bits* from, int64_t count) {
  constexpr int kLanes = 16;
  for (int64_t i = 0; i < count; i += kLanes) {
    store_float(simd_add(load_float(to + i), load_float(from + i)), to + i);
  }
}

// A tile's panel: where its lanes lie side by side, and the rows of the scan.
template <typename Bits>
struct Panel {
  Bits* data;
  Rows rows;
  int width;
};

template <typename T>
__device__ Panel<typename T::Bits> panel_of(
    const ScanTiling<T>& tiling, const Tile& tile, typename T::Bits* local, char* transposed) {
  using Bits = typename T::Bits;
  const int pitch = tile.local_pitch<Bits>();
  if (!tiling.transposed()) {
    return {local, {tile.rows, pitch, tiling.reverse()}, tile.width};
  }
  Bits* data = reinterpret_cast<Bits*>(transposed);
  transpose(data, local, tile.rows, pitch, sizeof(Bits));
  return {data, {tile.width, tile.rows, tiling.reverse()}, tile.rows};
}

// Puts a panel back where panel_of found it.
template <typename T>
__device__ void scatter(
    const ScanTiling<T>& tiling, const Tile& tile, const Panel<typename T::Bits>& panel,
    typename T::Bits* local) {
  if (tiling.transposed()) {
    transpose(
        local, panel.data, tile.local_pitch<typename T::Bits>(), tile.rows,
        sizeof(typename T::Bits));
  }
}

// The chunks of this SPE's strips, one after the other.
template <typename T>
class Chunks {
 public:
  __device__ explicit Chunks(const ScanTiling<T>& tiling) : tiling_(tiling) {}

  __device__ bool next(Tile& tile, bool& begins) {
    if (chunk_ == 0 && !tiling_.next(strip_)) {
      return false;
    }
    tile = tiling_.tile(strip_, chunk_);
    begins = chunk_ == 0;
    chunk_ = (chunk_ + 1) % tiling_.chunks();
    return true;
  }

 private:
  ScanTiling<T> tiling_;
  Strip strip_ = {0, 0, 0};
  int64_t chunk_ = 0;
};

}  // namespace cornernet::sdaa
