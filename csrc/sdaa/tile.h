// Rectangles of a tensor on their way between Global memory and the scratchpad.
//
// The engine's rule is four bytes: addresses, sections and gaps of an asynchronous copy are
// multiples of that. Elements of two bytes break it wherever a row has an odd number of them; such
// tiles are copied as one run where they are one, else row by row, and a run's odd ends by
// themselves.
#pragma once

#include "launch.h"

namespace cornernet::sdaa {

// `rows` of `width` elements, `pitch` elements apart, from element `at` of a tensor.
struct Tile {
  int64_t at;
  int rows;
  int width;
  int64_t pitch;

  __device__ bool is_run() const { return rows == 1 || width == pitch; }

  template <typename Bits>
  __device__ bool has_odd_rows() const {
    return !is_run() && (pitch * sizeof(Bits) % 4 != 0 || width * sizeof(Bits) % 4 != 0 ||
                         at * sizeof(Bits) % 4 != 0);
  }

  // Elements between rows in the scratchpad. Where rows are copied one by one, odd or even as in
  // Global: then each of them lies there as it does in Global, modulo four bytes.
  template <typename Bits>
  __device__ int local_pitch() const {
    return has_odd_rows<Bits>() ? width + ((width ^ static_cast<int>(pitch)) & 1) : width;
  }
};

// Bytes of scratchpad to have for a tile, beyond its elements: the shift of `local_address`, and
// what vectors read and write back after its last lane.
constexpr int kTilePadding = 64 + 64;

// Where in the buffer the tile's first element has to lie: as in Global, modulo four bytes. Copies
// between addresses that differ in that are some fifty times slower.
template <typename Bits>
__device__ Bits* local_address(char* buffer, const Tile& tile) {
  return reinterpret_cast<Bits*>(buffer + tile.at * sizeof(Bits) % 4);
}

// Copies that are waited for together. Nothing public says what it means to wait for a handle that
// no copy was started with, so that is not done.
class Transfer {
 public:
  __device__ MemcpyHandle& start() {
    under_way_ = true;
    return handle_;
  }
  __device__ void wait() {
    if (under_way_) {
      memcpy_wait(handle_);
      under_way_ = false;
    }
  }

 private:
  MemcpyHandle handle_;
  bool under_way_ = false;
};

namespace tile_detail {

template <typename Bits>
__device__ void copy_run(
    Bits* to, const Bits* from, int64_t count, MemcpyDirect direct, Transfer& transfer) {
  if (sizeof(Bits) < 4) {
    if (count > 0 && reinterpret_cast<uintptr_t>(from) % 4 != 0) {
      memcpy(to, from, sizeof(Bits));
      ++to;
      ++from;
      --count;
    }
    if (count > 0 && count * sizeof(Bits) % 4 != 0) {
      --count;
      memcpy(to + count, from + count, sizeof(Bits));
    }
  }
  if (count > 0) {
    memcpy_async(to, from, count * sizeof(Bits), 0, {0, 0}, direct, transfer.start());
  }
}

template <typename Bits>
__device__ void copy(
    Bits* to, const Bits* from, const Tile& tile, MemcpyDirect direct, Transfer& transfer) {
  if (tile.is_run()) {
    copy_run(to, from, static_cast<int64_t>(tile.rows) * tile.width, direct, transfer);
    return;
  }
  const bool is_load = direct == MemcpyGlobalToSpm;
  if (!tile.has_odd_rows<Bits>()) {
    const size_t section = tile.width * sizeof(Bits);
    const size_t gap = (tile.pitch - tile.width) * sizeof(Bits);
    const MemoryStride stride = {is_load ? 0 : gap, is_load ? gap : 0};
    memcpy_async(to, from, tile.rows * section, section, stride, direct, transfer.start());
    return;
  }
  const int64_t local = tile.local_pitch<Bits>();
  for (int row = 0; row < tile.rows; ++row) {
    copy_run(
        to + row * (is_load ? local : tile.pitch), from + row * (is_load ? tile.pitch : local),
        tile.width, direct, transfer);
  }
}

}  // namespace tile_detail

// Starts to load the tile; it is there once the transfer has been waited for.
template <typename Bits>
__device__ void load(Bits* local, const Bits* global, const Tile& tile, Transfer& transfer) {
  tile_detail::copy(local, global + tile.at, tile, MemcpyGlobalToSpm, transfer);
}

// Starts to write the tile back; its scratchpad is free once the transfer has been waited for.
template <typename Bits>
__device__ void store(Bits* global, const Bits* local, const Tile& tile, Transfer& transfer) {
  tile_detail::copy(global + tile.at, local, tile, MemcpySpmToGlobal, transfer);
}

// A block of scratchpad.
class Buffer {
 public:
  __device__ explicit Buffer(size_t size) : data_(static_cast<char*>(malloc(size))) {}
  __device__ ~Buffer() { free(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  __device__ char* data() const { return data_; }
  template <typename T>
  __device__ T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  char* data_;
};

}  // namespace cornernet::sdaa
