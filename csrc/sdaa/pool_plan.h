// How a scan is cut up for 32 SPEs with small scratchpads.
//
// The lanes of a scan, the positions that do not depend on each other, are shared out evenly. An
// SPE cuts its lanes into strips and, where a strip is too long for its scratchpad, that into
// chunks; whoever scans carries the state of every lane from chunk to chunk.
#pragma once

#include "../common/arithmetic.h"
#include "../common/corner_pool.h"
#include "share.h"
#include "tile.h"

namespace cornernet {

// Bytes of a row of a tile beyond which wider ones gain nothing.
constexpr int kWidestSection = 4096;

struct Strip {
  int64_t plane;
  int64_t lane;
  int width;
};

struct Limits {
  int tile_bytes;   // of a tile in the scratchpad
  int carry_bytes;  // of the states of a strip's lanes at the beginnings of all its chunks; 0: one
  bool whole;       // long scans are worth narrow strips: then nothing is read twice
};

template <typename T>
class Plan {
 public:
  using Bits = typename T::Bits;
  static constexpr int kSize = sizeof(Bits);

  __device__ Plan(const Scan& scan, const Limits& limits)
      : scan_(scan), turned_(scan.inner == 1), planes_(turned_ ? 1 : scan.outer),
        lanes_(turned_ ? scan.outer : scan.inner) {
    // Rows of an odd number of two-byte elements are best copied as one run.
    const bool odd = kSize < 4 && (turned_ ? scan.length : scan.inner) % 2 != 0;
    const bool runs = odd && !turned_ && lanes_ * kSize <= kWidestSection;
    granule_ = runs ? static_cast<int>(lanes_) : turned_ ? (odd ? 2 : 1) : T::kLanes;
    const int room = limits.tile_bytes / kSize;  // elements

    const int64_t widest = kWidestSection / kSize - odd;
    if (runs) {
      set(lanes_, room / lanes_);
    } else if (turned_ || limits.whole) {
      // Whole scans, if a vector of them fits.
      const int64_t fitting = smaller(room / (scan.length + odd) - odd, widest);
      if (fitting >= T::kLanes) {
        set(rounded_down<int64_t>(fitting, T::kLanes), scan.length);
      } else {
        set(T::kLanes, room / T::kLanes - 1);
      }
    } else {
      const int64_t width = smaller(widest, divided_up<int64_t>(lanes_, T::kLanes) * T::kLanes);
      set(rounded_down<int64_t>(width, T::kLanes), room / (width + odd));
    }
    // The longest of scans leave room for the states of a few lanes only.
    for (int lanes = T::kLanes; !carries_fit(limits) && lanes >= 2; lanes -= T::kLanes - 2) {
      granule_ = smaller(lanes, granule_);
      set(lanes, room / lanes - 1);
    }

    const Share share(planes_ * granules_per_plane());
    begin_ = share.begin;
    end_ = share.end;
  }

  __device__ bool turned() const { return turned_; }
  __device__ bool reverse() const { return scan_.reverse; }
  __device__ int64_t chunks() const { return divided_up(scan_.length, chunk_); }

  // The next strip of this SPE; false if there is none.
  __device__ bool next(Strip& strip) {
    if (begin_ >= end_) {
      return false;
    }
    const int64_t per_plane = granules_per_plane();
    const int64_t plane = begin_ / per_plane;
    const int64_t plane_end = smaller(end_, (plane + 1) * per_plane);
    // What is left of this plane in strips of about one width.
    const int64_t left = plane_end - begin_;
    const int64_t most = larger<int64_t>(width_ / granule_, 1);
    int64_t taken = divided_up(left, divided_up(left, most));
    if (turned_) {
      // Whole vectors, where there are as many rows.
      const int64_t vectors = divided_up<int64_t>(taken * granule_, T::kLanes);
      taken = smaller(left, smaller(most, vectors * T::kLanes / granule_));
    }
    const int64_t lane = (begin_ - plane * per_plane) * granule_;
    strip = {plane, lane, static_cast<int>(smaller(taken * granule_, lanes_ - lane))};
    begin_ += taken;
    return true;
  }

  // The i-th chunk of a strip, counted in the order of the scan.
  __device__ Tile tile(const Strip& strip, int64_t i) const {
    const int64_t chunk = scan_.reverse ? chunks() - 1 - i : i;
    const int64_t first = chunk * chunk_;
    const int count = static_cast<int>(smaller(chunk_, scan_.length - first));
    if (turned_) {
      return {strip.lane * scan_.length + first, strip.width, count, scan_.length};
    }
    const int64_t at = (strip.plane * scan_.length + first) * scan_.inner + strip.lane;
    return {at, count, strip.width, scan_.inner};
  }

 private:
  __device__ void set(int64_t width, int64_t chunk) {
    width_ = static_cast<int>(width);
    chunk_ = larger<int64_t>(smaller(chunk, scan_.length), 1);
    if (chunk_ < scan_.length && chunk_ > T::kLanes) {
      chunk_ = rounded_down<int64_t>(chunk_, T::kLanes);
    }
  }
  __device__ bool carries_fit(const Limits& limits) const {
    return limits.carry_bytes == 0 || chunks() * width_ * kSize <= limits.carry_bytes;
  }
  __device__ int64_t granules_per_plane() const { return divided_up(lanes_, int64_t{granule_}); }

  Scan scan_;
  bool turned_;
  int64_t planes_;
  int64_t lanes_;
  int granule_;
  int width_;
  int64_t chunk_;
  int64_t begin_;
  int64_t end_;
};

}  // namespace cornernet
