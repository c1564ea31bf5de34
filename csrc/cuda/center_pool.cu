// center_pool on CUDA: contract in cornernet_ops/center_pool.py.
//
// First the maxima of all columns and of all rows are found, each map by one kernel, as corner_pool
// goes through its lines (see corner_pool.cu), but without writing them. Then a third adds them up
// for every cell: they are few, and in cache. Backward finds the place of each maximum and the sum
// of its line's gradients, and writes only there.

#include <type_traits>

#include "../common/arithmetic.h"
#include "center_pool.h"
#include "element.h"
#include "launch.h"
#include "scan.h"

namespace cornernet::cuda {
namespace {

constexpr int kSumThreads = 256;

// What is known of a line, or of a part of it.
template <typename W>
struct Found {
  W maximum;
  int64_t position;
  W sum;  // of the gradients
};

// Of two parts: of equal maxima the later one stands, whichever part it is in.
template <typename W>
__device__ Found<W> joined(const Found<W>& a, const Found<W>& b) {
  const bool b_may = is_new_max(b.maximum, a.maximum);
  const bool a_may = is_new_max(a.maximum, b.maximum);
  const bool takes_b = b_may && (!a_may || b.position > a.position);
  return {takes_b ? b.maximum : a.maximum, takes_b ? b.position : a.position, a.sum + b.sum};
}

// Calls write(first element of the line, number of the line, what was found) for each column of N
// neighbouring ones, by one thread.
template <typename T, int N, bool kGradient, typename Write>
__global__ void __launch_bounds__(kMostPiecesOfTwo* kWarp, 2)
    reduce_columns(const T* __restrict__ x, const T* __restrict__ g, Scan scan, Write write) {
  using W = Wide<T>;
  __shared__ Found<W> parts[kMostPiecesOfTwo][N][kWarp];
  const Columns<N> columns(scan);
  Found<W> found[N];
#pragma unroll
  for (int n = 0; n < N; ++n) {
    found[n] = {lowest<W>(), -1, W(0)};
  }
  const int64_t tile = static_cast<int64_t>(columns.pieces) * kRows<N>;
  for (int64_t begin = columns.piece * kRows<N>; begin < scan.length; begin += tile) {
    Vector<T, N> rows[kRows<N>];
    Vector<T, N> grads[kGradient ? kRows<N> : 1];
    columns.load_rows(x, begin, narrow<T>(lowest<W>()), rows);
    if constexpr (kGradient) {
      columns.load_rows(g, begin, T(), grads);
    }
#pragma unroll
    for (int r = 0; r < kRows<N>; ++r) {
#pragma unroll
      for (int n = 0; n < N; ++n) {
        const W value = widen(rows[r].at[n]);
        const bool over = columns.has(begin + r) && is_new_max(value, found[n].maximum);
        found[n].maximum = over ? value : found[n].maximum;
        found[n].position = over ? begin + r : found[n].position;
        if constexpr (kGradient) {
          found[n].sum += widen(grads[r].at[n]);
        }
      }
    }
  }
#pragma unroll
  for (int n = 0; n < N; ++n) {
    parts[columns.piece][n][columns.lane] = found[n];
  }
  __syncthreads();
  if (columns.piece == 0 && columns.inside) {
    const int64_t vector = static_cast<int64_t>(blockIdx.x) * kWarp + columns.lane;
#pragma unroll
    for (int n = 0; n < N; ++n) {
      for (int piece = 1; piece < columns.pieces; ++piece) {
        found[n] = joined(found[n], parts[piece][n][columns.lane]);
      }
      write(columns.offset(0) + n, vector * N + n, found[n]);
    }
  }
}

// The same for lines along the innermost dimension, by a team of lanes.
template <typename T, int N, bool kGradient, typename Write>
__global__ void __launch_bounds__(kLineThreads) reduce_lines(
    const T* __restrict__ x, const T* __restrict__ g, int64_t count, int64_t length, int width,
    Write write) {
  using W = Wide<T>;
  constexpr int kCount = kGradient ? kLines / 2 : kLines;
  const Lines<N, kCount> lines(count, length, width, false);
  Found<W> found[kCount];
#pragma unroll
  for (int line = 0; line < kCount; ++line) {
    found[line] = {lowest<W>(), -1, W(0)};
  }
  for (int64_t vector = lines.lane; vector < lines.vectors; vector += width) {
    Vector<T, N> held[kCount];
    Vector<T, N> grads[kGradient ? kCount : 1];
    lines.load_vectors(x, vector, narrow<T>(lowest<W>()), held);
    if constexpr (kGradient) {
      lines.load_vectors(g, vector, T(), grads);
    }
#pragma unroll
    for (int line = 0; line < kCount; ++line) {
#pragma unroll
      for (int n = 0; n < N; ++n) {
        const W value = widen(held[line].at[n]);
        const bool over = is_new_max(value, found[line].maximum);
        found[line].maximum = over ? value : found[line].maximum;
        found[line].position = over ? vector * N + n : found[line].position;
        if constexpr (kGradient) {
          found[line].sum += widen(grads[line].at[n]);
        }
      }
    }
  }
#pragma unroll
  for (int line = 0; line < kCount; ++line) {
    for (int distance = width / 2; distance > 0; distance /= 2) {
      const Found<W> other = {
          __shfl_down_sync(kWholeWarp, found[line].maximum, distance, width),
          __shfl_down_sync(kWholeWarp, found[line].position, distance, width),
          __shfl_down_sync(kWholeWarp, found[line].sum, distance, width)};
      found[line] = joined(found[line], other);
    }
    if (lines.lane == 0 && lines.has(line, 0)) {
      write(lines.offset(line, 0), lines.first + line, found[line]);
    }
  }
}

template <bool kGradient, typename T, typename Write>
cudaError_t reduce(
    cudaStream_t stream, const T* x, const T* g, const Scan& scan, const Write& write) {
  const int64_t run = scan.inner == 1 ? scan.length : scan.inner;
  return dispatch_vectors<T>(
      run,
      [&](auto count) {
        constexpr int N = decltype(count)::value;
        if (scan.inner == 1) {
          const auto kernel = reduce_lines<T, N, kGradient, Write>;
          const int width = team_width(scan.length / N);
          const int64_t blocks = line_blocks(scan.outer, width, kGradient ? kLines / 2 : kLines);
          if (!fits_grid(blocks)) {
            return cudaErrorInvalidConfiguration;
          }
          CUDA_LAUNCH(
              kernel, blocks, kLineThreads, stream, x, g, scan.outer, scan.length, width, write);
        } else {
          const auto kernel = reduce_columns<T, N, kGradient, Write>;
          const int64_t blocks = ceil_div<int64_t>(scan.outer * (scan.inner / N), kWarp);
          if (!fits_grid(blocks)) {
            return cudaErrorInvalidConfiguration;
          }
          CUDA_LAUNCH(
              kernel, blocks, column_threads<N>(scan, kMostPiecesOfTwo), stream, x, g, scan, write);
        }
        return cudaGetLastError();
      },
      x, g);
}

// Keeps the maximum of a line, zeros without their sign.
template <typename W>
struct KeepMaximum {
  W* maxima;  // of all lines

  __device__ void operator()(int64_t, int64_t line, const Found<W>& found) const {
    maxima[line] = found.maximum + W(0);
  }
};

// Writes the sum of a line's gradients where its maximum is.
template <typename T>
struct WriteGradient {
  T* grad;
  int64_t step;  // from one element of a line to the next

  __device__ void operator()(int64_t first, int64_t, const Found<Wide<T>>& found) const {
    grad[first + found.position * step] = narrow<T>(found.sum);
  }
};

// A map as rows of `run` neighbours: of a plane's row, or in channels_last of a cell's channels.
struct Runs {
  explicit Runs(const MapSizes& sizes)
      : run(sizes.channels_last ? sizes.c : sizes.w),
        count(sizes.n * sizes.area() * sizes.c / run),
        height(static_cast<uint32_t>(sizes.h)),
        width(static_cast<uint32_t>(sizes.w)),
        channels_last(sizes.channels_last) {}

  int64_t run;
  int64_t count;  // below 2^32
  uint32_t height;
  uint32_t width;
  bool channels_last;
};

// A thread for every vector of y.
template <typename T, int N>
__global__ void __launch_bounds__(kSumThreads) add_maxima(
    const Wide<T>* __restrict__ columns, const Wide<T>* __restrict__ rows, T* __restrict__ y,
    Runs runs) {
  using W = Wide<T>;
  const int64_t vectors = runs.run / N;
  const int64_t number = static_cast<int64_t>(blockIdx.x) * kSumThreads + threadIdx.x;
  const int64_t at = number / vectors;
  if (at >= runs.count) {
    return;
  }
  const int64_t in_run = (number - at * vectors) * N;
  const auto row = static_cast<uint32_t>(at);
  Vector<T, N> sum;
  if (runs.channels_last) {
    // A run is a cell: its row of cells, and its column in the image.
    const uint32_t line = row / runs.width;
    const int64_t column = int64_t{line / runs.height} * runs.width + (row - line * runs.width);
#pragma unroll
    for (int n = 0; n < N; ++n) {
      const W down = columns[column * runs.run + in_run + n];
      sum.at[n] = narrow<T>(down + rows[line * runs.run + in_run + n]);
    }
  } else {
    const W along = rows[at];
    const int64_t plane = row / runs.height;
#pragma unroll
    for (int n = 0; n < N; ++n) {
      sum.at[n] = narrow<T>(columns[plane * runs.run + in_run + n] + along);
    }
  }
  store(y + at * runs.run + in_run, sum);
}

template <typename T>
cudaError_t pool(cudaStream_t stream, const CenterPool& task, void* workspace) {
  using W = Wide<T>;
  const MapSizes& sizes = task.sizes;
  const Runs runs(sizes);
  W* columns = static_cast<W*>(workspace);
  W* rows = columns + sizes.n * sizes.c * sizes.w;
  const T* vertical = static_cast<const T*>(task.vertical);
  const T* horizontal = static_cast<const T*>(task.horizontal);
  T* y = static_cast<T*>(task.y);
  const T* none = nullptr;
  cudaError_t error =
      reduce<false>(stream, vertical, none, sizes.lines(true), KeepMaximum<W>{columns});
  if (error == cudaSuccess) {
    error = reduce<false>(stream, horizontal, none, sizes.lines(false), KeepMaximum<W>{rows});
  }
  if (error != cudaSuccess) {
    return error;
  }
  return dispatch_vectors<T>(
      runs.run,
      [&](auto count) {
        constexpr int N = decltype(count)::value;
        const int64_t blocks = ceil_div<int64_t>(runs.count * (runs.run / N), kSumThreads);
        if (!fits_grid(blocks) || runs.count > 0xffffffff) {
          return cudaErrorInvalidConfiguration;
        }
        const auto kernel = add_maxima<T, N>;
        CUDA_LAUNCH(kernel, blocks, kSumThreads, stream, columns, rows, y, runs);
        return cudaGetLastError();
      },
      y);
}

}  // namespace

int64_t center_pool_workspace(const CenterPool& task) {
  const MapSizes& sizes = task.sizes;
  const int64_t size = task.dtype == Dtype::kDouble ? sizeof(double) : sizeof(float);
  return sizes.n * sizes.c * (sizes.h + sizes.w) * size;
}

cudaError_t launch_center_pool(cudaStream_t stream, const CenterPool& task, void* workspace) {
  return dispatch(task.dtype, [&](auto* type) {
    return pool<std::remove_pointer_t<decltype(type)>>(stream, task, workspace);
  });
}

cudaError_t launch_center_pool_backward(cudaStream_t stream, const CenterPoolBackward& task) {
  return dispatch(task.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* g = static_cast<const T*>(task.grad_out);
    const auto one = [&](const void* x, void* grad, bool vertical) {
      const Scan scan = task.sizes.lines(vertical);
      const WriteGradient<T> write{static_cast<T*>(grad), scan.inner};
      return reduce<true>(stream, static_cast<const T*>(x), g, scan, write);
    };
    const cudaError_t error = one(task.vertical, task.grad_vertical, true);
    return error != cudaSuccess ? error : one(task.horizontal, task.grad_horizontal, false);
  });
}

}  // namespace cornernet::cuda
