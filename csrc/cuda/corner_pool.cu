// corner_pool on CUDA: contract in cornernet_ops/corner_pool.py.
//
// Memory is all that this op should wait for: every tensor is gone through once, in vectors of 16
// bytes where addresses allow, with several loads of every thread under way before the first is
// used. Lines are cut into pieces that threads take side by side, because the lines of a batch
// alone are too few to keep a GPU's memory busy:
//
// columns  (across the innermost dimension) a warp takes some rows of 32 neighbouring vectors, the
//          warps of a block take the rows below each other. They tell each other the maxima of
//          their pieces through shared memory.
// lines    (along the innermost dimension) as many lanes of a warp as a line has vectors take a
//          line, and several lines at once. They tell each other by shuffles.
//
// Either way a tile of pieces moves along the line, whatever its length. Backward needs no indices
// and no atomics: in each piece it finds again where maxima began, adds up the gradients from there
// to the next one, and knows from the other pieces what came before and what follows. A maximum
// that lasts beyond its tile is the one thing carried on, and is written again when it ends.

#include "corner_pool.h"

#include "../common/arithmetic.h"
#include "element.h"
#include "launch.h"
#include "scan.h"

namespace cornernet::cuda {
namespace {

// Lines that lanes take at once; two tensors are loaded.
constexpr int kLinesBackward = 2;

// For one column: a thread's gradients up to its first head, which belong to a maximum of an
// earlier piece. Bit r of `heads` says that row r is a maximum itself.
template <typename W, int kCount>
__device__ W sum_before_first_head(const W (&g)[kCount], unsigned heads) {
  W sum = 0;
  bool open = true;
#pragma unroll
  for (int r = 0; r < kCount; ++r) {
    open = open && (heads >> r & 1) == 0;
    sum += open ? g[r] : W(0);
  }
  return sum;
}

// The gradients at and after the last head, and `following`, what later pieces add to them.
template <typename W, int kCount>
__device__ W sum_from_last_head(const W (&g)[kCount], unsigned heads, W following) {
  W sum = following;
  bool open = true;
#pragma unroll
  for (int r = kCount - 1; r >= 0; --r) {
    sum += open ? g[r] : W(0);
    open = open && (heads >> r & 1) == 0;
  }
  return sum;
}

__device__ inline int last_head(unsigned heads) {
  return 31 - __clz(static_cast<int>(heads));
}

// Turns gradients of the results into those of the elements: the sums from each head to the next, 0
// elsewhere. Returns the sum up to the first head.
template <typename W, int kCount>
__device__ W sum_segments(W (&g)[kCount], unsigned heads, W following) {
  W sum = following;
#pragma unroll
  for (int r = kCount - 1; r >= 0; --r) {
    sum += g[r];
    const bool head = (heads >> r & 1) != 0;
    g[r] = head ? sum : W(0);
    sum = head ? W(0) : sum;
  }
  return sum;
}

// A maximum that lasts beyond its tile: where it was met, and its gradients so far.
template <typename W>
struct OpenSegment {
  int64_t row;  // below 0: there is none
  W sum;
};

template <typename T, int N>
__global__ void __launch_bounds__(kMostPiecesOfTwo* kWarp, 2) pool_columns_backward(
    const T* __restrict__ g, const T* __restrict__ x, T* __restrict__ dx, Scan scan) {
  using W = Wide<T>;
  __shared__ Partials<W, N, kMostPiecesOfTwo> partials;
  __shared__ Partials<W, N, kMostPiecesOfTwo>
      leading;  // the gradients up to each piece's first head
  __shared__ Partials<bool, N, kMostPiecesOfTwo> has_head;  // whether it has a head
  __shared__ OpenSegment<W> open_segments[N][kWarp];  // the first piece's; here to spare registers
  __shared__ OpenSegment<W> carry_out[N][kWarp];
  const Columns<N> columns(scan);
  const int lane = columns.lane;
  const int64_t tile = static_cast<int64_t>(columns.pieces) * kRows<N>;
  W carry[N];
#pragma unroll
  for (int n = 0; n < N; ++n) {
    carry[n] = lowest<W>();
    if (columns.piece == 0) {
      open_segments[n][lane] = {-1, W(0)};
    }
  }
  for (int64_t start = 0; start < scan.length; start += tile) {
    const bool more = start + tile < scan.length;
    const int64_t begin = start + columns.piece * kRows<N>;
    Vector<T, N> rows[kRows<N>];
    Vector<T, N> grads[kRows<N>];
    columns.load_rows(x, begin, narrow<T>(lowest<W>()), rows);
    columns.load_rows(g, begin, T(), grads);
    W maximum[N];
    maxima_of(rows, maximum);
#pragma unroll
    for (int n = 0; n < N; ++n) {
      partials[columns.piece][n][lane] = maximum[n];
    }
    __syncthreads();
    maxima_before<W, N, kMostPiecesOfTwo>(
        partials, columns.piece, columns.pieces, lane, carry, maximum);
    unsigned heads[N];
#pragma unroll
    for (int n = 0; n < N; ++n) {
      heads[n] = 0;
      W sums[kRows<N>];
#pragma unroll
      for (int r = 0; r < kRows<N>; ++r) {
        const W value = widen(rows[r].at[n]);
        heads[n] |= static_cast<unsigned>(is_new_max(value, maximum[n])) << r;
        maximum[n] = later_maximum(maximum[n], value);
        sums[r] = widen(grads[r].at[n]);
      }
      leading[columns.piece][n][lane] = sum_before_first_head(sums, heads[n]);
      has_head[columns.piece][n][lane] = heads[n] != 0;
    }
    __syncthreads();
#pragma unroll
    for (int n = 0; n < N; ++n) {
      W following = 0;
      bool lasts = true;
      for (int p = columns.piece + 1; p < columns.pieces && lasts; ++p) {
        following += leading[p][n][lane];
        lasts = !has_head[p][n][lane];
      }
      W sums[kRows<N>];
#pragma unroll
      for (int r = 0; r < kRows<N>; ++r) {
        sums[r] = widen(grads[r].at[n]);
      }
      if (more && lasts && heads[n] != 0) {
        carry_out[n][lane] = {
            begin + last_head(heads[n]), sum_from_last_head(sums, heads[n], following)};
      }
      sum_segments(sums, heads[n], following);
#pragma unroll
      for (int r = 0; r < kRows<N>; ++r) {
        rows[r].at[n] = narrow<T>(sums[r]);
      }
    }
#pragma unroll
    for (int r = 0; r < kRows<N>; ++r) {
      if (columns.has(begin + r)) {
        store(dx + columns.offset(begin + r), rows[r]);
      }
    }
    if (scan.length <= tile) {
      return;  // nothing lasts beyond the only tile
    }
    __syncthreads();  // carry_out and dx of this tile are there for the first piece
    if (columns.piece == 0) {
#pragma unroll
      for (int n = 0; n < N; ++n) {
        OpenSegment<W> old = open_segments[n][lane];
        bool lasts = true;
        for (int p = 0; p < columns.pieces && lasts; ++p) {
          old.sum += leading[p][n][lane];
          lasts = !has_head[p][n][lane];
        }
        if (old.row >= 0 && (!lasts || !more) && columns.inside) {
          dx[columns.offset(old.row) + n] = narrow<T>(old.sum);
        }
        if (more) {
          open_segments[n][lane] = lasts ? old : carry_out[n][lane];
        }
      }
    }
    // Before any of this is written again, all meet at the next tile's maxima.
  }
}

template <typename T, int N, bool kReverse>
__global__ void __launch_bounds__(kLineThreads) pool_lines_backward(
    const T* __restrict__ g, const T* __restrict__ x, T* __restrict__ dx, int64_t count,
    int64_t length, int width) {
  using W = Wide<T>;
  const Lines<N, kLinesBackward> lines(count, length, width, kReverse);
  const int lane = lines.lane;
  // The lanes of this team, in the ballot of its warp.
  const int team_begin = static_cast<int>(threadIdx.x) % kWarp / width * width;
  const unsigned team = (width == kWarp ? kWholeWarp : (1u << width) - 1u) << team_begin;
  W carry[kLinesBackward];
  OpenSegment<W> open_segments[kLinesBackward];  // the row is the place in the line
#pragma unroll
  for (int line = 0; line < kLinesBackward; ++line) {
    carry[line] = lowest<W>();
    open_segments[line] = {-1, W(0)};
  }
  for (int64_t start = 0; start < lines.vectors; start += width) {
    const bool more = start + width < lines.vectors;
    const int64_t vector = start + lane;
    Vector<T, N> held[kLinesBackward];
    Vector<T, N> grads[kLinesBackward];
    lines.load_vectors(x, vector, narrow<T>(lowest<W>()), held);
    lines.load_vectors(g, vector, T(), grads);
#pragma unroll
    for (int line = 0; line < kLinesBackward; ++line) {
      W values[N];
      W sums[N];
#pragma unroll
      for (int i = 0; i < N; ++i) {
        values[i] = widen(held[line].at[place<N, kReverse>(i)]);
        sums[i] = widen(grads[line].at[place<N, kReverse>(i)]);
      }
      W maximum = values[0];
#pragma unroll
      for (int i = 1; i < N; ++i) {
        maximum = later_maximum(maximum, values[i]);
      }
      maximum = maximum_before(maximum, lane, width, carry[line]);
      unsigned heads = 0;
#pragma unroll
      for (int i = 0; i < N; ++i) {
        heads |= static_cast<unsigned>(is_new_max(values[i], maximum)) << i;
        maximum = later_maximum(maximum, values[i]);
      }

      // From each lane's beginning to the next head, wherever in the team that is.
      W sum = sum_segments(sums, heads, W(0));
      bool ends = heads != 0;
      for (int distance = 1; distance < width; distance *= 2) {
        const W more_sum = __shfl_down_sync(kWholeWarp, sum, distance, width);
        const int more_ends = __shfl_down_sync(kWholeWarp, int{ends}, distance, width);
        if (lane + distance < width && !ends) {
          sum += more_sum;
          ends = more_ends != 0;
        }
      }
      W following = __shfl_down_sync(kWholeWarp, sum, 1, width);
      bool lasts = __shfl_down_sync(kWholeWarp, int{ends}, 1, width) == 0;
      following = lane == width - 1 ? W(0) : following;
      lasts = lane == width - 1 || lasts;
      const W first_sum = __shfl_sync(kWholeWarp, sum, 0, width);
      const bool first_ends = __shfl_sync(kWholeWarp, int{ends}, 0, width) != 0;

      // What follows is the last head's. With no head it is none's.
      const int last = last_head(heads);
      W last_sum = 0;
#pragma unroll
      for (int i = 0; i < N; ++i) {
        if (i == last) {
          sums[i] += following;
          last_sum = sums[i];
        }
        held[line].at[place<N, kReverse>(i)] = narrow<T>(sums[i]);
      }
      if (lines.has(line, vector)) {
        store(dx + lines.offset(line, vector), held[line]);
      }

      OpenSegment<W>& old = open_segments[line];
      old.sum += first_sum;
      if (old.row >= 0 && (first_ends || !more) && lane == 0 && lines.has(line, 0)) {
        const int64_t at = kReverse ? length - 1 - old.row : old.row;
        dx[(lines.first + line) * length + at] = narrow<T>(old.sum);
      }
      if (more) {
        const bool opens = lasts && heads != 0;
        const unsigned openers = __ballot_sync(kWholeWarp, opens) & team;
        const int opener = openers == 0 ? 0 : last_head(openers) - team_begin;
        const int64_t row = vector * N + last;
        const W carry_sum = __shfl_sync(kWholeWarp, last_sum, opener, width);
        const int64_t carry_row = __shfl_sync(kWholeWarp, row, opener, width);
        if (openers != 0) {
          old = {carry_row, carry_sum};
        }
      }
    }
    __syncwarp();  // dx of this tile is there for who writes into it later
  }
}

}  // namespace

cudaError_t launch_corner_pool(cudaStream_t stream, const CornerPool& task) {
  return pool<false>(stream, task, nullptr);
}

cudaError_t launch_corner_pool_backward(cudaStream_t stream, const CornerPoolBackward& task) {
  return dispatch(task.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* grad = static_cast<const T*>(task.grad_out);
    const T* from = static_cast<const T*>(task.x);
    T* to = static_cast<T*>(task.grad_x);
    const Scan& scan = task.scan;
    const int64_t run = scan.inner == 1 ? scan.length : scan.inner;
    return dispatch_vectors<T>(
        run,
        [&](auto count) {
          constexpr int N = decltype(count)::value;
          if (scan.inner == 1) {
            const auto kernel =
                scan.reverse ? pool_lines_backward<T, N, true> : pool_lines_backward<T, N, false>;
            const int width = team_width(scan.length / N);
            const int64_t blocks = line_blocks(scan.outer, width, kLinesBackward);
            if (!fits_grid(blocks)) {
              return cudaErrorInvalidConfiguration;
            }
            CUDA_LAUNCH(
                kernel, blocks, kLineThreads, stream, grad, from, to, scan.outer, scan.length,
                width);
          } else {
            const auto kernel = pool_columns_backward<T, N>;
            const int64_t blocks = ceil_div<int64_t>(scan.outer * (scan.inner / N), kWarp);
            if (!fits_grid(blocks)) {
              return cudaErrorInvalidConfiguration;
            }
            const int threads = column_threads<N>(scan, kMostPiecesOfTwo);
            CUDA_LAUNCH(kernel, blocks, threads, stream, grad, from, to, scan);
          }
          return cudaGetLastError();
        },
        grad, from, to);
  });
}

}  // namespace cornernet::cuda
