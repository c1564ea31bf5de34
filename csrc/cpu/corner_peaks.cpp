// corner_peaks on the CPU: contract in cornernet_ops/corner_peaks.py.
//
// One pass over the map. Nearly every cell lies below the k-th best peak found so far, and blocks
// of such cells are passed over by a vectorized comparison; only the others are held against their
// window.

#include "../common/corner_peaks.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <torch/library.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <mutex>
#include <tuple>
#include <type_traits>
#include <vector>

#include "dispatch.h"
#include "order.h"
#include "simd.h"
#include "top_k.h"

namespace cornernet {
namespace {

// Cells a thread should have at least, so that starting it pays.
constexpr int64_t kGrain = 65536;
constexpr int64_t kBlock = 64;

template <typename T>
struct Image {
  const T* heat;  // [C, H, W]
  int64_t height;
  int64_t width;
  int64_t radius;  // of the window
};

// Whether the cell equals the maximum of its window. Every comparison with a NaN is false.
template <typename T>
bool is_peak(const Image<T>& image, int64_t cell) {
  const int64_t area = image.height * image.width;
  const T* map = image.heat + cell / area * area;
  const int64_t y = cell % area / image.width;
  const int64_t x = cell % image.width;
  const int64_t top = y - std::min(y, image.radius);
  const int64_t left = x - std::min(x, image.radius);
  const int64_t bottom = y + std::min(image.height - 1 - y, image.radius);
  const int64_t right = x + std::min(image.width - 1 - x, image.radius);

  using Score = typename Wide<T>::type;
  const Score value = static_cast<Score>(image.heat[cell]);
  for (int64_t i = top; i <= bottom; ++i) {
    for (int64_t j = left; j <= right; ++j) {
      if (!(static_cast<Score>(map[i * image.width + j]) <= value)) {
        return false;
      }
    }
  }
  return true;
}

template <typename T>
CORNERNET_INLINE bool any_may_exceed(const T* values, T threshold) {
  int found = 0;
  for (int64_t i = 0; i < kBlock; ++i) {
    found |= may_exceed(values[i], threshold);
  }
  return found != 0;
}

// Offers the peaks among cells [begin, end) of an image.
template <typename T>
CORNERNET_INLINE void scan_cells(
    const Image<T>& image, int64_t begin, int64_t end, TopK<typename Wide<T>::type>& best) {
  using Score = typename Wide<T>::type;
  for (int64_t block = begin; block < end; block += kBlock) {
    const T threshold = static_cast<T>(best.threshold());
    if (block + kBlock <= end && !any_may_exceed(image.heat + block, threshold)) {
      continue;
    }
    const int64_t block_end = std::min(end, block + kBlock);
    for (int64_t cell = block; cell < block_end; ++cell) {
      const Score score = static_cast<Score>(image.heat[cell]);
      if (score > best.threshold() && is_peak(image, cell)) {
        best.offer(score, cell);
      }
    }
  }
}

template <typename T>
void peaks(
    const T* heat, T* scores, int64_t* indices, int64_t n, int64_t c, int64_t h, int64_t w,
    int64_t k, int64_t kernel_size) {
  using Score = typename Wide<T>::type;
  const int64_t cells = c * h * w;
  std::vector<std::vector<Ranked<Score>>> candidates(n);
  std::mutex mutex;

  // Threads take parts of all maps as if they were one, however many images and classes there are.
  at::parallel_for(0, n * cells, kGrain, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t index = begin / cells;
      const int64_t first = index * cells;
      const int64_t part_end = std::min(end, first + cells);
      const Image<T> image{heat + first, h, w, kernel_size / 2};
      TopK<Score> best(k);
      vectorized([&]() CORNERNET_INLINE_LAMBDA {
        scan_cells(image, begin - first, part_end - first, best);
      });
      {
        const std::lock_guard<std::mutex> lock(mutex);
        auto& all = candidates[index];
        all.insert(all.end(), best.kept().begin(), best.kept().end());
      }
      begin = part_end;
    }
  });

  for (int64_t index = 0; index < n; ++index) {
    // The order is total, so the result does not depend on which thread came first.
    keep_best(candidates[index], k);
    T* score = scores + index * k;
    int64_t* cell = indices + index * k;
    for (const Ranked<Score>& peak : candidates[index]) {
      *score++ = static_cast<T>(peak.score);
      *cell++ = peak.rank;
    }
  }
}

std::tuple<at::Tensor, at::Tensor> corner_peaks(
    const at::Tensor& heat, int64_t k, int64_t kernel_size) {
  check_corner_peaks(heat, k, kernel_size);
  const at::Tensor dense = heat.contiguous();
  at::Tensor scores =
      at::full({heat.size(0), k}, -std::numeric_limits<double>::infinity(), heat.options());
  at::Tensor indices = at::full({heat.size(0), k}, -1, heat.options().dtype(at::kLong));
  if (heat.numel() > 0) {
    dispatch(heat.scalar_type(), [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      peaks(
          dense.const_data_ptr<T>(), scores.mutable_data_ptr<T>(),
          indices.mutable_data_ptr<int64_t>(), heat.size(0), heat.size(1), heat.size(2),
          heat.size(3), k, kernel_size);
    });
  }
  return {scores, indices};
}

}  // namespace
}  // namespace cornernet

TORCH_LIBRARY_IMPL(cornernet, CPU, m) {
  m.impl("corner_peaks", &cornernet::corner_peaks);
}
