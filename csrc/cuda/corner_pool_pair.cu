// corner_pool_pair on CUDA: contract in cornernet_ops/corner_pool_pair.py.
//
// A block takes a plane, its warps rows of it and their lanes the columns, so that one load serves
// both scans: along the row by shuffles, down the columns through shared memory. Every tensor goes
// through memory once. With the channels innermost the lines of one image are too few to do this
// with: there one scan is added to the other, which is in the GPU's second cache by then unless the
// maps are large.

#include "corner_pool_pair.h"

#include <type_traits>

#include "../common/arithmetic.h"
#include "element.h"
#include "launch.h"
#include "scan.h"

namespace cornernet::cuda {
namespace {

// Rows of a thread, and the most warps of a block: two tensors are held.
constexpr int kPairRows = 4;
constexpr int kPairPieces = 8;
// The maxima of so many columns are kept from one tile of rows to the next.
constexpr int64_t kMostColumns = 2048;

template <typename T, int N, bool kReverse>
__global__ void __launch_bounds__(kPairPieces* kWarp, 2) pool_planes(
    const T* __restrict__ vertical, const T* __restrict__ horizontal, T* __restrict__ y,
    int64_t height, int64_t width) {
  using W = Wide<T>;
  __shared__ Partials<W, N, kPairPieces> partials;
  __shared__ W above[kMostColumns];  // the maximum of each column before this tile
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int piece = static_cast<int>(threadIdx.x) / kWarp;
  const int pieces = static_cast<int>(blockDim.x) / kWarp;
  const int64_t plane = static_cast<int64_t>(blockIdx.x) * height * width;
  const int64_t vectors = width / N;
  for (int64_t start = 0; start < height; start += pieces * kPairRows) {
    const int64_t begin = start + piece * kPairRows;
    W row_carry[kPairRows];
#pragma unroll
    for (int r = 0; r < kPairRows; ++r) {
      row_carry[r] = lowest<W>();
    }
    for (int64_t strip = 0; strip < vectors; strip += kWarp) {
      const int64_t number = strip + lane;
      const bool inside = number < vectors;
      const int64_t column = (kReverse ? vectors - 1 - number : number) * N;
      const auto offset = [&](int64_t row) {
        return plane + (kReverse ? height - 1 - row : row) * width + column;
      };
      const auto has = [&](int64_t row) { return inside && row < height; };
      Vector<T, N> down[kPairRows];
      Vector<T, N> along[kPairRows];
#pragma unroll
      for (int r = 0; r < kPairRows; ++r) {
        const Vector<T, N> beyond = filled<N>(narrow<T>(lowest<W>()));
        down[r] = has(begin + r) ? load<N>(vertical + offset(begin + r)) : beyond;
        along[r] = has(begin + r) ? load<N>(horizontal + offset(begin + r)) : beyond;
      }
      W maximum[N];
#pragma unroll
      for (int n = 0; n < N; ++n) {
        W total = widen(down[0].at[n]);
#pragma unroll
        for (int r = 1; r < kPairRows; ++r) {
          total = later_maximum(total, widen(down[r].at[n]));
        }
        partials[piece][n][lane] = total;
      }
      __syncthreads();
#pragma unroll
      for (int n = 0; n < N; ++n) {
        maximum[n] = start > 0 && inside ? above[column + n] : lowest<W>();
        for (int p = 0; p < piece; ++p) {
          maximum[n] = later_maximum(maximum[n], partials[p][n][lane]);
        }
      }
#pragma unroll
      for (int r = 0; r < kPairRows; ++r) {
        W beside = widen(along[r].at[place<N, kReverse>(0)]);
#pragma unroll
        for (int i = 1; i < N; ++i) {
          beside = later_maximum(beside, widen(along[r].at[place<N, kReverse>(i)]));
        }
        beside = maximum_before(beside, lane, kWarp, row_carry[r]);
#pragma unroll
        for (int i = 0; i < N; ++i) {
          const int at = place<N, kReverse>(i);
          maximum[at] = later_maximum(maximum[at], widen(down[r].at[at]));
          beside = later_maximum(beside, widen(along[r].at[at]));
          along[r].at[at] = narrow<T>(maximum[at] + beside);
        }
        if (has(begin + r)) {
          store(y + offset(begin + r), along[r]);
        }
      }
      __syncthreads();  // all have read the partials and what was above
      if (piece == pieces - 1 && inside) {
#pragma unroll
        for (int n = 0; n < N; ++n) {
          above[column + n] = maximum[n];
        }
      }
    }
  }
}

template <typename T, int N>
cudaError_t launch_planes(cudaStream_t stream, const CornerPoolPair& task) {
  if (!fits_grid(task.planes)) {
    return cudaErrorInvalidConfiguration;
  }
  const auto kernel = task.reverse ? pool_planes<T, N, true> : pool_planes<T, N, false>;
  const int64_t pieces = ceil_div<int64_t>(task.height, kPairRows);
  const int threads = static_cast<int>(min<int64_t>(pieces, kPairPieces)) * kWarp;
  CUDA_LAUNCH(
      kernel, task.planes, threads, stream, static_cast<const T*>(task.vertical),
      static_cast<const T*>(task.horizontal), static_cast<T*>(task.y), task.height, task.width);
  return cudaGetLastError();
}

}  // namespace

bool corner_pool_pair_fits(const CornerPoolPair& task) {
  return task.width <= kMostColumns;
}

cudaError_t launch_corner_pool_pair(cudaStream_t stream, const CornerPoolPair& task) {
  return dispatch(task.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    return dispatch_vectors<T>(
        task.width,
        [&](auto count) {
          constexpr int N = decltype(count)::value;
          if constexpr (N == 8) {
            // No more elements at once than leave every lane of a warp some.
            if (task.width <= kWarp * N / 2) {
              return launch_planes<T, N / 2>(stream, task);
            }
          }
          return launch_planes<T, N>(stream, task);
        },
        task.vertical, task.horizontal, task.y);
  });
}

}  // namespace cornernet::cuda
