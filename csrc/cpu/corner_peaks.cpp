// corner_peaks on the CPU: contract in cornernet_ops/corner_peaks.py.
//
// One pass over the map. Nearly every cell lies below the k-th best peak found so far, and blocks
// of such cells are passed over by a vectorized comparison; only the others are held against their
// window.

#include "../common/corner_peaks.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <mutex>
#include <type_traits>
#include <vector>

#include "../common/corner_peaks_args.h"
#include "element.h"
#include "launch.h"
#include "simd.h"
#include "top_k.h"

namespace cornernet::cpu {
namespace {

// Cells a thread should have at least, so that starting it pays.
constexpr int64_t kGrain = 65536;
constexpr int64_t kBlock = 64;
constexpr int64_t kStretch = 64 * kBlock;
// Blocks for each peak wanted that the first threshold is guessed from, and when not to guess: the
// cells that are looked at twice should stay in a usual L2.
constexpr int64_t kGuessBlocks = 4;
constexpr int64_t kMostGuessed = 1024;

// What cells are compared by: themselves, or the keys of 16-bit floats, which need no conversion.
template <typename T>
using Key = decltype(key(T()));

template <typename T>
CORNERNET_INLINE bool is_nan(T value) {
  if constexpr (sizeof(T) == 2) {
    return key(value) == INT16_MAX;
  } else {
    return value != value;
  }
}

template <typename T>
Key<T> lowest_key() {
  return key(lowest<T>());
}

// Ordered as key is, but cheaper, for a filter before an exact test: NaN lies anywhere, and -0.0
// below 0.0. Of 16-bit floats, one less than the key where the sign bit is set.
template <typename T>
CORNERNET_INLINE Key<T> rough_key(T value) {
  if constexpr (sizeof(T) == 2) {
    const int16_t bits = static_cast<int16_t>(value.x);
    return static_cast<int16_t>(bits ^ ((bits >> 15) & 0x7fff));
  } else {
    return value;
  }
}

template <typename Key>
Key key_to_rough(Key key) {
  return std::is_integral_v<Key> && key < 0 ? static_cast<Key>(key - 1) : key;
}

template <typename Key>
Key rough_to_key(Key rough) {
  return std::is_integral_v<Key> && rough < 0 ? static_cast<Key>(rough + 1) : rough;
}

// Whether any cell of a block may exceed the threshold, a rough key.
template <typename T>
CORNERNET_INLINE bool any_above(const T* cells, Key<T> threshold) {
  // As wide as a key, so that vectors of both have the same lanes.
  using Found = typename IntegerOf<sizeof(Key<T>)>::type;
  Found found = 0;
  for (int64_t i = 0; i < kBlock; ++i) {
    found |= rough_key(cells[i]) > threshold ? Found(-1) : Found(0);  // widened by no arithmetic
  }
  return found != 0;
}

// The largest rough key of a block.
template <typename T>
CORNERNET_INLINE Key<T> block_maximum(const T* cells) {
  constexpr int kLanes = 16;
  Key<T> lanes[kLanes];
  std::fill_n(lanes, kLanes, lowest_key<T>());
  for (int64_t i = 0; i < kBlock; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const Key<T> value = rough_key(cells[i + lane]);
      lanes[lane] = value > lanes[lane] ? value : lanes[lane];
    }
  }
  return *std::max_element(lanes, lanes + kLanes);
}

// One class of one image.
template <typename T>
struct Plane {
  const T* cells;  // [H, W]
  int64_t height;
  int64_t width;
  int64_t radius;  // of the window
  Key<T> least;    // no peak is below it
  int64_t rank;    // of the first cell
};

// Whether the cell equals the maximum of its window, which holds no NaN: its key is above all
// others or, of wider floats, compares with nothing.
template <typename T>
bool is_peak(const Plane<T>& plane, int64_t cell) {
  if (is_nan(plane.cells[cell])) {
    return false;
  }
  const int64_t y = cell / plane.width;
  const int64_t x = cell - y * plane.width;
  const Window<int64_t> window(y, x, plane.height, plane.width, plane.radius);
  const Key<T> value = key(plane.cells[cell]);
  for (int64_t i = window.top; i <= window.bottom; ++i) {
    const T* row = plane.cells + i * plane.width;
    for (int64_t j = window.left; j <= window.right; ++j) {
      if (!(key(row[j]) <= value)) {
        return false;
      }
    }
  }
  return true;
}

// Cells that may be peaks. They are held against their windows some thousand cells later, when the
// rows below them have come into cache on their own.
class Waiting {
 public:
  bool nearly_full() const { return count_ > kBlock; }

  // Takes those of a block's cells that may exceed the threshold, a rough key: usually one.
  template <typename T>
  CORNERNET_INLINE void take_block(const T* cells, int64_t first, Key<T> threshold) {
    uint8_t above[kBlock];
    for (int64_t i = 0; i < kBlock; ++i) {
      above[i] = rough_key(cells[first + i]) > threshold ? 1 : 0;
    }
    for (int64_t eight = 0; eight < kBlock; eight += 8) {
      uint64_t any;
      std::memcpy(&any, above + eight, sizeof(any));
      if (any != 0) {
        // No branch here, which would be mispredicted.
        for (int64_t i = eight; i < eight + 8; ++i) {
          cells_[count_] = first + i;
          count_ += above[i];
        }
      }
    }
  }

  void take(int64_t cell) { cells_[count_++] = cell; }

  const int64_t* begin() const { return cells_; }
  const int64_t* end() const { return cells_ + count_; }
  void clear() { count_ = 0; }

 private:
  int64_t cells_[2 * kBlock + 1];
  int64_t count_ = 0;
};

template <typename T>
CORNERNET_INLINE void offer_waiting(const Plane<T>& plane, Waiting& waiting, TopK<Key<T>>& best) {
  for (const int64_t cell : waiting) {
    const Key<T> score = key(plane.cells[cell]);
    if (score > best.threshold() && score >= plane.least && is_peak(plane, cell)) {
      best.offer(score, plane.rank + cell);
    }
  }
  waiting.clear();
}

// Offers the peaks among cells [begin, end).
template <typename T>
CORNERNET_INLINE void scan_plane(
    const Plane<T>& plane, int64_t begin, int64_t end, TopK<Key<T>>& best) {
  Waiting waiting;
  const int64_t blocks_end = end - (end - begin) % kBlock;
  while (begin < blocks_end) {
    const Key<T> threshold = key_to_rough(best.threshold());
    const int64_t stretch_end = std::min(blocks_end, begin + kStretch);
    for (; begin < stretch_end && !waiting.nearly_full(); begin += kBlock) {
      if (any_above(plane.cells + begin, threshold)) {
        waiting.take_block(plane.cells, begin, threshold);
      }
    }
    offer_waiting(plane, waiting, best);
  }
  for (; begin < end; ++begin) {
    waiting.take(begin);
  }
  offer_waiting(plane, waiting, best);
}

template <typename T>
struct Image {
  const T* heat;   // [C, H, W]
  const T* least;  // [C], or null
  int64_t height;
  int64_t width;
  int64_t radius;
};

// Offers the peaks among cells [begin, end) of all of an image's planes in a row.
template <typename T>
CORNERNET_INLINE void scan_image(
    const Image<T>& image, int64_t begin, int64_t end, TopK<Key<T>>& best) {
  const int64_t area = image.height * image.width;
  while (begin < end) {
    const int64_t label = begin / area;
    const int64_t first = label * area;
    const int64_t plane_end = std::min(end, first + area);
    const Key<T> least = image.least == nullptr ? lowest_key<T>() : key(image.least[label]);
    const Plane<T> plane{image.heat + first, image.height, image.width, image.radius, least, first};
    scan_plane(plane, begin - first, plane_end - first, best);
    begin = plane_end;
  }
}

// The best k peaks, and perhaps more, among cells [begin, end) of an image.
//
// Until k peaks are found there is no threshold, and every cell is held against its window. So the
// first blocks are searched with a threshold from their maxima, which are peaks more often than
// not; if it was too high, they are searched again.
template <typename T>
CORNERNET_INLINE TopK<Key<T>> search(const Image<T>& image, int64_t begin, int64_t end, int64_t k) {
  TopK<Key<T>> best(k, lowest_key<T>());
  const int64_t blocks = kGuessBlocks * k;
  if (k <= kMostGuessed && end - begin > 2 * blocks * kBlock) {
    std::vector<Key<T>> maxima(static_cast<size_t>(blocks));
    for (int64_t i = 0; i < blocks; ++i) {
      maxima[i] = block_maximum(image.heat + begin + i * kBlock);
    }
    const auto guess = maxima.begin() + (k + k / 2);
    std::nth_element(maxima.begin(), guess, maxima.end(), std::greater<Key<T>>());
    TopK<Key<T>> above(k, rough_to_key(*guess));
    scan_image(image, begin, begin + blocks * kBlock, above);
    if (above.settle()) {
      best = std::move(above);
      begin += blocks * kBlock;
    }
  }
  scan_image(image, begin, end, best);
  return best;
}

template <typename T>
void peaks(const CornerPeaks& task) {
  const T* heat = static_cast<const T*>(task.heat);
  const T* least = static_cast<const T*>(task.min_scores);
  const int64_t cells = task.cells();
  std::vector<std::vector<Ranked<Key<T>>>> candidates(task.n);
  std::mutex mutex;

  // Threads take parts of all maps as if they were one, however many images and classes there are.
  at::parallel_for(0, task.n * cells, kGrain, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t index = begin / cells;
      const int64_t first = index * cells;
      const int64_t part_end = std::min(end, first + cells);
      const Image<T> image{heat + first, least, task.h, task.w, task.radius};
      std::vector<Ranked<Key<T>>> found;
      vectorized([&]() CORNERNET_INLINE_LAMBDA {
        found = search(image, begin - first, part_end - first, task.k).kept();
      });
      {
        const std::lock_guard<std::mutex> lock(mutex);
        auto& all = candidates[index];
        all.insert(all.end(), found.begin(), found.end());
      }
      begin = part_end;
    }
  });

  for (int64_t index = 0; index < task.n; ++index) {
    // The order is total, so the result does not depend on which thread came first.
    keep_best(candidates[index], task.k);
    const T* image = heat + index * cells;
    T* score = static_cast<T*>(task.scores) + index * task.k;
    int64_t* cell = task.indices + index * task.k;
    for (const Ranked<Key<T>>& peak : candidates[index]) {
      *score++ = image[peak.rank];
      *cell++ = peak.rank;
    }
    const int64_t rest = task.k - static_cast<int64_t>(candidates[index].size());
    std::fill_n(score, rest, lowest<T>());
    std::fill_n(cell, rest, int64_t{-1});
  }
}

CornerPeaksArgs::Result corner_peaks(const CornerPeaksArgs& args) {
  if (!args.empty()) {
    dispatch(args.heat.scalar_type(), [&](auto* type) {
      peaks<std::remove_pointer_t<decltype(type)>>(args.pointers());
    });
  }
  return args.results();
}

TORCH_LIBRARY_IMPL(cornernet, CPU, m) {
  implement<CornerPeaksArgs, &corner_peaks>(m);
}

}  // namespace
}  // namespace cornernet::cpu
