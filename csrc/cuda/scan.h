// The scans of corner_pool on CUDA, forward, for the ops that are made of them: each is compiled
// into the file of its op. How the work is cut is explained in corner_pool.cu.
#pragma once

#include <cstdint>
#include <type_traits>

#include "../common/arithmetic.h"
#include "../common/corner_pool.h"
#include "element.h"
#include "launch.h"

namespace cornernet::cuda {

// Rows of a thread, of vectors of N elements: as many as registers hold without spilling.
template <int N>
constexpr int kRows = N > 4 ? 4 : 8;
// The most warps that share the rows of a tile, where rows of one or of two tensors are held. Two
// blocks of this size fit on a multiprocessor, so that one loads while the other computes.
constexpr int kMostPieces = 16;
constexpr int kMostPiecesOfTwo = 8;
// Lines that lanes take at once: their loads are under way together.
constexpr int kLines = 4;
constexpr int kLineThreads = 256;

// The columns of one thread: N neighbouring ones, as [length] vectors in the order of the scan.
template <int N>
struct Columns {
  __device__ explicit Columns(const Scan& scan)
      : lane(threadIdx.x % kWarp), piece(threadIdx.x / kWarp), pieces(blockDim.x / kWarp) {
    const int64_t vectors = scan.inner / N;
    const int64_t number = static_cast<int64_t>(blockIdx.x) * kWarp + lane;
    inside = number < scan.outer * vectors;
    const int64_t outer = inside ? number / vectors : 0;
    const int64_t vector = inside ? number - outer * vectors : 0;
    const int64_t last = (scan.length - 1) * scan.inner;
    first = outer * scan.length * scan.inner + vector * N + (scan.reverse ? last : 0);
    step = scan.reverse ? -scan.inner : scan.inner;
    length = scan.length;
  }

  __device__ int64_t offset(int64_t row) const { return first + row * step; }
  __device__ bool has(int64_t row) const { return inside && row < length; }

  // The rows of this thread from `begin` on; `beyond` stands for those that there are not.
  template <typename T>
  __device__ void load_rows(
      const T* from, int64_t begin, T beyond, Vector<T, N> (&rows)[kRows<N>]) const {
#pragma unroll
    for (int r = 0; r < kRows<N>; ++r) {
      rows[r] = has(begin + r) ? load<N>(from + offset(begin + r)) : filled<N>(beyond);
    }
  }

  int lane;
  int piece;
  int pieces;
  bool inside;
  int64_t first;
  int64_t step;
  int64_t length;
};

// The maximum of each column over a thread's rows.
template <int N, typename T>
__device__ void maxima_of(const Vector<T, N> (&rows)[kRows<N>], Wide<T> (&maxima)[N]) {
#pragma unroll
  for (int n = 0; n < N; ++n) {
    maxima[n] = widen(rows[0].at[n]);
#pragma unroll
    for (int r = 1; r < kRows<N>; ++r) {
      maxima[n] = later_maximum(maxima[n], widen(rows[r].at[n]));
    }
  }
}

// What the pieces of a block tell each other: for each, a number for every column.
template <typename W, int N, int kPieces>
using Partials = W[kPieces][N][kWarp];

// carry: the maxima before the tile, and on return those up to its end; before: those up to the
// thread's piece.
template <typename W, int N, int kPieces>
__device__ void maxima_before(
    const Partials<W, N, kPieces>& partials, int piece, int pieces, int lane, W (&carry)[N],
    W (&before)[N]) {
#pragma unroll
  for (int n = 0; n < N; ++n) {
    before[n] = carry[n];
    for (int p = 0; p < piece; ++p) {
      before[n] = later_maximum(before[n], partials[p][n][lane]);
    }
    carry[n] = before[n];
    for (int p = piece; p < pieces; ++p) {
      carry[n] = later_maximum(carry[n], partials[p][n][lane]);
    }
  }
}

template <typename T, int N, bool kAdd, int kPieces>
__global__ void __launch_bounds__(kPieces* kWarp, 2)
    pool_columns(const T* __restrict__ x, const T* addend, T* y, Scan scan) {
  using W = Wide<T>;
  __shared__ Partials<W, N, kPieces> partials;
  const Columns<N> columns(scan);
  const int64_t tile = static_cast<int64_t>(columns.pieces) * kRows<N>;
  W carry[N];
#pragma unroll
  for (int n = 0; n < N; ++n) {
    carry[n] = lowest<W>();
  }
  for (int64_t start = 0; start < scan.length; start += tile) {
    const int64_t begin = start + columns.piece * kRows<N>;
    Vector<T, N> rows[kRows<N>];
    columns.load_rows(x, begin, narrow<T>(lowest<W>()), rows);
    Vector<T, N> added[kAdd ? kRows<N> : 1];
    if constexpr (kAdd) {
      columns.load_rows(addend, begin, T(), added);
    }
    W maximum[N];
    maxima_of(rows, maximum);
#pragma unroll
    for (int n = 0; n < N; ++n) {
      partials[columns.piece][n][columns.lane] = maximum[n];
    }
    __syncthreads();
    maxima_before<W, N, kPieces>(
        partials, columns.piece, columns.pieces, columns.lane, carry, maximum);
#pragma unroll
    for (int r = 0; r < kRows<N>; ++r) {
#pragma unroll
      for (int n = 0; n < N; ++n) {
        maximum[n] = later_maximum(maximum[n], widen(rows[r].at[n]));
        rows[r].at[n] =
            narrow<T>(kAdd ? widen(added[kAdd ? r : 0].at[n]) + maximum[n] : maximum[n]);
      }
      if (columns.has(begin + r)) {
        store(y + columns.offset(begin + r), rows[r]);
      }
    }
    __syncthreads();  // the partials have been read
  }
}

// The lines of one thread's team, as [length / N] vectors in the order of the scan. `width` lanes,
// a power of two, are a team.
template <int N, int kCount>
struct Lines {
  __device__ Lines(int64_t lines, int64_t length, int width, bool reverse)
      : lines(lines), length(length), vectors(length / N), width(width), reverse(reverse) {
    lane = static_cast<int>(threadIdx.x) % width;
    const int team = static_cast<int>(threadIdx.x) / width;
    const int teams = static_cast<int>(blockDim.x) / width;
    first = (static_cast<int64_t>(blockIdx.x) * teams + team) * kCount;
  }

  __device__ bool has(int line, int64_t vector) const {
    return first + line < lines && vector < vectors;
  }
  __device__ int64_t offset(int line, int64_t vector) const {
    return (first + line) * length + (reverse ? vectors - 1 - vector : vector) * N;
  }
  template <typename T>
  __device__ void load_vectors(
      const T* from, int64_t vector, T beyond, Vector<T, N> (&held)[kCount]) const {
#pragma unroll
    for (int line = 0; line < kCount; ++line) {
      held[line] = has(line, vector) ? load<N>(from + offset(line, vector)) : filled<N>(beyond);
    }
  }

  int64_t lines;
  int64_t length;
  int64_t vectors;
  int width;
  bool reverse;
  int lane;
  int64_t first;
};

// The place in a vector of its i-th element in the order of the scan.
template <int N, bool kReverse>
__device__ constexpr int place(int i) {
  return kReverse ? N - 1 - i : i;
}

// Of each lane's `maximum`, that of its team up to and with this lane.
template <typename W>
__device__ W scan_team(W maximum, int lane, int width) {
  for (int distance = 1; distance < width; distance *= 2) {
    const W before = __shfl_up_sync(kWholeWarp, maximum, distance, width);
    maximum = lane >= distance ? later_maximum(before, maximum) : maximum;
  }
  return maximum;
}

// carry: the maximum before the tile, and on return up to its end; returns that up to this lane.
template <typename W>
__device__ W maximum_before(W maximum, int lane, int width, W& carry) {
  const W up_to_here = later_maximum(carry, scan_team(maximum, lane, width));
  const W before = __shfl_up_sync(kWholeWarp, up_to_here, 1, width);
  const W result = lane == 0 ? carry : before;
  carry = __shfl_sync(kWholeWarp, up_to_here, width - 1, width);
  return result;
}

template <typename T, int N, bool kReverse, bool kAdd>
__global__ void __launch_bounds__(kLineThreads) pool_lines(
    const T* __restrict__ x, const T* addend, T* y, int64_t count, int64_t length, int width) {
  using W = Wide<T>;
  const Lines<N, kLines> lines(count, length, width, kReverse);
  W carry[kLines];
#pragma unroll
  for (int line = 0; line < kLines; ++line) {
    carry[line] = lowest<W>();
  }
  for (int64_t start = 0; start < lines.vectors; start += width) {
    const int64_t vector = start + lines.lane;
    Vector<T, N> held[kLines];
    lines.load_vectors(x, vector, narrow<T>(lowest<W>()), held);
    Vector<T, N> added[kAdd ? kLines : 1];
    if constexpr (kAdd) {
      lines.load_vectors(addend, vector, T(), added);
    }
#pragma unroll
    for (int line = 0; line < kLines; ++line) {
      W maximum = widen(held[line].at[place<N, kReverse>(0)]);
#pragma unroll
      for (int i = 1; i < N; ++i) {
        maximum = later_maximum(maximum, widen(held[line].at[place<N, kReverse>(i)]));
      }
      maximum = maximum_before(maximum, lines.lane, width, carry[line]);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        const int at = place<N, kReverse>(i);
        maximum = later_maximum(maximum, widen(held[line].at[at]));
        held[line].at[at] =
            narrow<T>(kAdd ? widen(added[kAdd ? line : 0].at[at]) + maximum : maximum);
      }
      if (lines.has(line, vector)) {
        store(y + lines.offset(line, vector), held[line]);
      }
    }
  }
}

// Threads for a block of pool_columns: a warp for every kRows rows.
template <int N>
int column_threads(const Scan& scan, int most_pieces) {
  const int64_t pieces = ceil_div<int64_t>(scan.length, kRows<N>);
  return static_cast<int>(min<int64_t>(pieces, most_pieces)) * kWarp;
}

// Lanes for a line of so many vectors.
inline int team_width(int64_t vectors) {
  int width = 1;
  while (width < kWarp && width < vectors) {
    width *= 2;
  }
  return width;
}

inline int64_t line_blocks(int64_t lines, int width, int lines_at_once) {
  return ceil_div<int64_t>(lines, kLineThreads / width * lines_at_once);
}

// y = the scans of x, plus the addend if kAdd; that may be y.
template <bool kAdd>
cudaError_t pool(cudaStream_t stream, const CornerPool& task, const void* addend) {
  return dispatch(task.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* from = static_cast<const T*>(task.x);
    const T* added = static_cast<const T*>(addend);
    T* to = static_cast<T*>(task.y);
    const Scan& scan = task.scan;
    const int64_t run = scan.inner == 1 ? scan.length : scan.inner;
    return dispatch_vectors<T>(
        run,
        [&](auto count) {
          constexpr int N = decltype(count)::value;
          if (scan.inner == 1) {
            const auto kernel =
                scan.reverse ? pool_lines<T, N, true, kAdd> : pool_lines<T, N, false, kAdd>;
            const int width = team_width(scan.length / N);
            const int64_t blocks = line_blocks(scan.outer, width, kLines);
            if (!fits_grid(blocks)) {
              return cudaErrorInvalidConfiguration;
            }
            CUDA_LAUNCH(
                kernel, blocks, kLineThreads, stream, from, added, to, scan.outer, scan.length,
                width);
          } else {
            constexpr int kPieces = kAdd ? kMostPiecesOfTwo : kMostPieces;
            const auto kernel = pool_columns<T, N, kAdd, kPieces>;
            const int64_t blocks = ceil_div<int64_t>(scan.outer * (scan.inner / N), kWarp);
            if (!fits_grid(blocks)) {
              return cudaErrorInvalidConfiguration;
            }
            const int threads = column_threads<N>(scan, kPieces);
            CUDA_LAUNCH(kernel, blocks, threads, stream, from, added, to, scan);
          }
          return cudaGetLastError();
        },
        from, added, to);
  });
}

}  // namespace cornernet::cuda
