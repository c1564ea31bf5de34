// corner_peaks on CUDA: contract in cornernet_ops/corner_peaks.py.
//
// One pass over the map. A block takes some thousand cells of one image, holds those against their
// windows that may still be among its best k, and keeps these; the blocks' lists are then merged.

#include "corner_peaks.h"

#include <type_traits>

#include "../common/arithmetic.h"
#include "element.h"
#include "launch.h"
#include "top_k.h"

namespace cornernet::cuda {
namespace {

// Cells of a block. Many blocks, so that a single image keeps a large GPU busy.
constexpr int64_t kSlice = 8192;

template <typename T>
struct Heat {
  const T* cells;  // [C, H, W], of one image
  const T* least;  // [C], or null
  uint32_t height;
  uint32_t width;
  uint32_t radius;  // of the window

  // Whether the cell equals the maximum of its window, in which nothing is NaN, and its class wants
  // it. Every comparison with a NaN fails.
  __device__ bool is_peak(uint32_t cell, Wide<T> value) const {
    const uint32_t area = height * width;
    const uint32_t label = cell / area;
    if (least != nullptr && !(value >= widen(least[label]))) {
      return false;
    }
    const uint32_t place = cell - label * area;
    const uint32_t y = place / width;
    const uint32_t x = place - y * width;
    const Window<uint32_t> window(y, x, height, width, radius);
    const T* plane = cells + static_cast<int64_t>(label) * area;
    for (uint32_t i = window.top; i <= window.bottom; ++i) {
      for (uint32_t j = window.left; j <= window.right; ++j) {
        if (!(widen(plane[static_cast<int64_t>(i) * width + j]) <= value)) {
          return false;
        }
      }
    }
    return true;
  }
};

// A block for each slice of each image. heat.cells: of all images.
template <typename T, typename Writer>
__global__ void __launch_bounds__(kSelectThreads)
    find_peaks(Heat<T> heat, int64_t cells, int64_t slices, int k, Writer writer) {
  using W = Wide<T>;
  __shared__ Held<W> held;
  const int64_t image = blockIdx.x / slices;
  const int64_t slice = blockIdx.x - image * slices;
  const int64_t end = min(cells, (slice + 1) * kSlice);
  heat.cells += image * cells;
  Selection<W> selection(held, k);
  for (int64_t round = slice * kSlice; round < end; round += kRound) {
    constexpr int kLoads = kRound / kSelectThreads;
    W values[kLoads];
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const int64_t cell = round + i * kSelectThreads + threadIdx.x;
      values[i] = cell < end ? widen(heat.cells[cell]) : lowest<W>();
    }
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const auto cell = static_cast<uint32_t>(round + i * kSelectThreads + threadIdx.x);
      const Candidate<W> candidate = Candidate<W>::of(values[i], cell);
      // NaN is better than everything, and no peak.
      if (selection.wants(candidate) && cell < end && heat.is_peak(cell, values[i])) {
        selection.offer(candidate);
      }
    }
    selection.end_round();
  }
  write_selected(held, selection.settle(), k, image, slice, writer);
}

template <typename T>
struct PeakWriter {
  const T* heat;
  int64_t cells;
  T* scores;
  int64_t* indices;
  int k;

  __device__ void operator()(int64_t image, int64_t, int i, const Candidate<Wide<T>>* best) const {
    const int64_t at = image * k + i;
    if (best == nullptr) {
      scores[at] = narrow<T>(lowest<Wide<T>>());
      indices[at] = -1;
    } else {
      // From the map, where zeros have their signs.
      scores[at] = heat[image * cells + best->index()];
      indices[at] = best->index();
    }
  }
};

}  // namespace

bool corner_peaks_fits(const CornerPeaks& task) {
  return task.cells() < int64_t{0xffffffff} && task.k <= kMostSelected;
}

int64_t corner_peaks_workspace(const CornerPeaks& task) {
  const int64_t slices = ceil_div(task.cells(), kSlice);
  return task.dtype == Dtype::kDouble ? list_bytes<double>(task.n, slices, task.k)
                                      : list_bytes<float>(task.n, slices, task.k);
}

cudaError_t launch_corner_peaks(cudaStream_t stream, const CornerPeaks& task, void* workspace) {
  return dispatch(task.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const int64_t cells = task.cells();
    const int64_t slices = ceil_div(cells, kSlice);
    const int wanted = static_cast<int>(task.k);
    const Heat<T> map{
        static_cast<const T*>(task.heat), static_cast<const T*>(task.min_scores),
        static_cast<uint32_t>(task.h), static_cast<uint32_t>(task.w),
        static_cast<uint32_t>(task.radius)};
    const PeakWriter<T> last{map.cells, cells, static_cast<T*>(task.scores), task.indices, wanted};
    return select<Wide<T>>(
        stream, task.n, slices, wanted, workspace,
        [&](const auto& writer) {
          const auto kernel = find_peaks<T, std::decay_t<decltype(writer)>>;
          CUDA_LAUNCH(
              kernel, task.n * slices, kSelectThreads, stream, map, cells, slices, wanted, writer);
        },
        last);
  });
}

}  // namespace cornernet::cuda
