// How a scan is cut up for 32 SPEs with small scratchpads.
//
// The lanes of a scan, the positions that do not depend on each other, are partitioned evenly. An
// SPE cuts its lanes into strips and, where a strip is too long for its scratchpad, that into
// chunks; the scan carries the state of every lane from chunk to chunk.
#pragma once

#include "../common/arithmetic.h"
#include "../common/corner_pool.h"
#include "partition.h"
#include "tile.h"

namespace cornernet::sdaa {

// Bytes of a row of a tile beyond which wider ones gain nothing.
constexpr int kWidestSection = 4096;

struct Strip {
  int64_t plane;
  int64_t lane;
  int width;
};

struct TileLimits {
  int tile_bytes;   // of a tile in the scratchpad
  int carry_bytes;  // of the states of a strip's lanes at the beginnings of all its chunks; 0: one
  bool whole;       // long scans are worth narrow strips: then nothing is read twice
};

template <typename T>
class ScanTiling {
 public:
  using Bits = typename T::Bits;
  static constexpr int kSize = sizeof(Bits);

  __device__ ScanTiling(const Scan& scan, const TileLimits& limits)
      : scan_(scan),
        transposed_(scan.inner == 1),
        planes_(transposed_ ? 1 : scan.outer),
        lanes_(transposed_ ? scan.outer : scan.inner) {
    // Rows of an odd number of two-byte elements are best copied as one run.
    const bool odd = kSize < 4 && (transposed_ ? scan.length : scan.inner) % 2 != 0;
    const bool runs = odd && !transposed_ && lanes_ * kSize <= kWidestSection;
    unit_ = runs ? static_cast<int>(lanes_) : transposed_ ? (odd ? 2 : 1) : T::kLanes;
    const int room = limits.tile_bytes / kSize;  // elements

    const int64_t widest = kWidestSection / kSize - odd;
    if (runs) {
      set(lanes_, room / lanes_);
    } else if (transposed_ || limits.whole) {
      // Whole scans, if a vector of them fits.
      const int64_t fitting = min(room / (scan.length + odd) - odd, widest);
      if (fitting >= T::kLanes) {
        set(round_down<int64_t>(fitting, T::kLanes), scan.length);
      } else {
        set(T::kLanes, room / T::kLanes - 1);
      }
    } else {
      const int64_t width = min(widest, ceil_div<int64_t>(lanes_, T::kLanes) * T::kLanes);
      set(round_down<int64_t>(width, T::kLanes), room / (width + odd));
    }
    // The longest of scans leave room for the states of a few lanes only.
    for (int lanes = T::kLanes; !carries_fit(limits) && lanes >= 2; lanes -= T::kLanes - 2) {
      unit_ = min(lanes, unit_);
      set(lanes, room / lanes - 1);
    }

    const Partition partition(planes_ * units_per_plane());
    begin_ = partition.begin;
    end_ = partition.end;
  }

  __device__ bool transposed() const { return transposed_; }
  __device__ bool reverse() const { return scan_.reverse; }
  __device__ int64_t chunks() const { return ceil_div(scan_.length, chunk_); }

  // The next strip of this SPE; false if there is none.
  __device__ bool next(Strip& strip) {
    if (begin_ >= end_) {
      return false;
    }
    const int64_t per_plane = units_per_plane();
    const int64_t plane = begin_ / per_plane;
    const int64_t plane_end = min(end_, (plane + 1) * per_plane);
    // What is left of this plane in strips of about one width.
    const int64_t left = plane_end - begin_;
    const int64_t most = max<int64_t>(width_ / unit_, 1);
    int64_t taken = ceil_div(left, ceil_div(left, most));
    if (transposed_) {
      // Whole vectors, where there are as many rows.
      const int64_t vectors = ceil_div<int64_t>(taken * unit_, T::kLanes);
      taken = min(left, min(most, vectors * T::kLanes / unit_));
    }
    const int64_t lane = (begin_ - plane * per_plane) * unit_;
    strip = {plane, lane, static_cast<int>(min(taken * unit_, lanes_ - lane))};
    begin_ += taken;
    return true;
  }

  // The i-th chunk of a strip, counted in the order of the scan.
  __device__ Tile tile(const Strip& strip, int64_t i) const {
    const int64_t chunk = scan_.reverse ? chunks() - 1 - i : i;
    const int64_t first = chunk * chunk_;
    const int count = static_cast<int>(min(chunk_, scan_.length - first));
    if (transposed_) {
      return {strip.lane * scan_.length + first, strip.width, count, scan_.length};
    }
    const int64_t at = (strip.plane * scan_.length + first) * scan_.inner + strip.lane;
    return {at, count, strip.width, scan_.inner};
  }

 private:
  __device__ void set(int64_t width, int64_t chunk) {
    width_ = static_cast<int>(width);
    chunk_ = max<int64_t>(min(chunk, scan_.length), 1);
    if (chunk_ < scan_.length && chunk_ > T::kLanes) {
      chunk_ = round_down<int64_t>(chunk_, T::kLanes);
    }
  }
  __device__ bool carries_fit(const TileLimits& limits) const {
    return limits.carry_bytes == 0 || chunks() * width_ * kSize <= limits.carry_bytes;
  }
  __device__ int64_t units_per_plane() const { return ceil_div(lanes_, int64_t{unit_}); }

  Scan scan_;
  bool transposed_;
  int64_t planes_;
  int64_t lanes_;
  int unit_;
  int width_;
  int64_t chunk_;
  int64_t begin_;
  int64_t end_;
};

}  // namespace cornernet::sdaa
