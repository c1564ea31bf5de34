// center_pool on the CPU: contract in cornernet_ops/center_pool.py.
//
// A plane, or in channels_last a strip of an image's channels, is reduced row by row: the maxima of
// its columns lie in cache beside the row, and neighbours are lanes. Every tensor goes through
// memory once, in ascending address order.

#include "../common/center_pool.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <vector>

#include "../common/center_pool_args.h"
#include "element.h"
#include "half_convert.h"
#include "launch.h"
#include "prefetch.h"
#include "simd.h"
#include "tensors.h"

namespace cornernet::cpu {
namespace {

// Elements a thread should have at least, so that starting it pays.
constexpr int64_t kGrain = 32768;
// Lanes of a reduction along a row: whole vectors of any kind, several of them; a power of two.
constexpr int64_t kLanes = 32;

template <typename W>
CORNERNET_INLINE W later_maximum(W m, W x) {
  return choose(is_new_max(x, m), x, m);
}

// maxima[i] of what it was and of row[i].
template <typename T, typename W>
CORNERNET_INLINE void take_row(const T* row, W* maxima, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    maxima[i] = later_maximum(maxima[i], W(widen(row[i])));
  }
}

// y[i] = a[i] + b, rounded once.
template <typename T, typename W>
CORNERNET_INLINE void add_to_row(const W* a, W b, T* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    y[i] = narrow<T>(a[i] + b);
  }
}
template <typename T, typename W>
CORNERNET_INLINE void add_rows(const W* a, const W* b, T* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    y[i] = narrow<T>(a[i] + b[i]);
  }
}

// A reduction along a row, in lanes.
template <typename W, typename T, typename Combine>
CORNERNET_INLINE W reduce_row(const T* row, int64_t count, W start, const Combine& combine) {
  W lanes[kLanes];
  std::fill_n(lanes, kLanes, start);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] = combine(lanes[lane], W(widen(row[i + lane])));
    }
  }
  for (int64_t lane = 0; i < count; ++lane, ++i) {
    lanes[lane] = combine(lanes[lane], W(widen(row[i])));
  }
  // In halves, which are vectors too.
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t lane = 0; lane < half; ++lane) {
      lanes[lane] = combine(lanes[lane], lanes[lane + half]);
    }
  }
  return lanes[0];
}

template <typename W, typename T>
CORNERNET_INLINE W row_maximum(const T* row, int64_t count) {
  return reduce_row<W>(row, count, lowest<W>(), [](W m, W x) CORNERNET_INLINE_LAMBDA {
    return later_maximum(m, x);
  });
}

template <typename W, typename T>
CORNERNET_INLINE W row_sum(const T* row, int64_t count) {
  return reduce_row<W>(
      row, count, W(0), [](W sum, W x) CORNERNET_INLINE_LAMBDA { return sum + x; });
}

// Of zeros, +0: the contract's sum of zeros.
template <typename W>
CORNERNET_INLINE void clear_signs_of_zeros(std::vector<W>& maxima) {
  for (W& maximum : maxima) {
    maximum += W(0);
  }
}

// What is known of several lines after some of their elements.
template <typename W>
struct Lines {
  explicit Lines(int64_t count) : maxima(count), positions(count), sums(count) {}

  void start() {
    std::fill(maxima.begin(), maxima.end(), lowest<W>());
    std::fill(sums.begin(), sums.end(), W(0));
  }
  // Takes in the elements at a position of `count` lines from `first` on.
  template <typename T>
  CORNERNET_INLINE void take(
      const T* g, const T* x, Lane<W> position, int64_t first, int64_t count) {
    W* maximum = maxima.data() + first;
    Lane<W>* where = positions.data() + first;
    W* sum = sums.data() + first;
    for (int64_t i = 0; i < count; ++i) {
      const W value = W(widen(x[i]));
      const bool over = is_new_max(value, maximum[i]);
      maximum[i] = choose(over, value, maximum[i]);
      where[i] = over ? position : where[i];
      sum[i] += W(widen(g[i]));
    }
  }

  std::vector<W> maxima;
  std::vector<Lane<W>> positions;
  std::vector<W> sums;
};

template <typename T>
void pool_planes(const T* vertical, const T* horizontal, T* y, const MapSizes& sizes) {
  using W = typename Wide<T>::type;
  const int64_t w = sizes.w;
  const int64_t grain = 1 + kGrain / sizes.area();
  at::parallel_for(0, sizes.n * sizes.c, grain, [&](int64_t begin, int64_t end) {
    std::vector<W> columns(w);
    vectorized([&]() CORNERNET_INLINE_LAMBDA {
      for (int64_t plane = begin; plane < end; ++plane) {
        const int64_t at = plane * sizes.area();
        std::fill(columns.begin(), columns.end(), lowest<W>());
        for (int64_t row = 0; row < sizes.h; ++row) {
          take_row(vertical + at + row * w, columns.data(), w);
        }
        clear_signs_of_zeros(columns);
        for (int64_t row = 0; row < sizes.h; ++row) {
          const W maximum = row_maximum<W>(horizontal + at + row * w, w);
          add_to_row(columns.data(), maximum, y + at + row * w, w);
        }
      }
    });
  });
}

template <typename T>
void pool_planes_backward(
    const T* g, const T* vertical, const T* horizontal, T* grad_v, T* grad_h,
    const MapSizes& sizes) {
  using W = typename Wide<T>::type;
  const int64_t w = sizes.w;
  const int64_t grain = 1 + kGrain / sizes.area();
  at::parallel_for(0, sizes.n * sizes.c, grain, [&](int64_t begin, int64_t end) {
    Lines<W> columns(w);
    vectorized([&]() CORNERNET_INLINE_LAMBDA {
      for (int64_t plane = begin; plane < end; ++plane) {
        columns.start();
        for (int64_t row = 0; row < sizes.h; ++row) {
          const int64_t at = plane * sizes.area() + row * w;
          columns.take(g + at, vertical + at, static_cast<Lane<W>>(row), 0, w);
          const W maximum = row_maximum<W>(horizontal + at, w);
          int64_t last = w - 1;
          while (!is_new_max(W(widen(horizontal[at + last])), maximum)) {
            --last;
          }
          grad_h[at + last] = narrow<T>(row_sum<W>(g + at, w));
        }
        for (int64_t i = 0; i < w; ++i) {
          const int64_t at = plane * sizes.area() + columns.positions[i] * w + i;
          grad_v[at] = narrow<T>(columns.sums[i]);
        }
      }
    });
  });
}

// Calls body with each strip of neighbouring channels of each image: the offset of its first
// element, and how many channels it has. As many as give every thread something to do, in whole
// cache lines.
template <typename T, typename Body>
void for_each_strip(const MapSizes& sizes, const Body& body) {
  constexpr int64_t kLine = kCacheLine / sizeof(T);
  const int64_t wanted = (2 * at::get_num_threads() + sizes.n - 1) / sizes.n;
  const int64_t width = std::max(kLine, (sizes.c / wanted + kLine - 1) / kLine * kLine);
  const int64_t strips = std::max<int64_t>(1, sizes.c / width);
  const int64_t grain = 1 + kGrain / (sizes.area() * width);
  at::parallel_for(0, sizes.n * strips, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % strips * width;
      const int64_t channels = i % strips == strips - 1 ? sizes.c - first : width;
      body(i / strips * sizes.area() * sizes.c + first, channels);
    }
  });
}

template <typename T>
void pool_images(const T* vertical, const T* horizontal, T* y, const MapSizes& sizes) {
  using W = typename Wide<T>::type;
  for_each_strip<T>(sizes, [&](int64_t first, int64_t channels) {
    std::vector<W> columns(sizes.w * channels, lowest<W>());
    std::vector<W> row(channels);
    vectorized([&]() CORNERNET_INLINE_LAMBDA {
      int64_t at = first;
      for (int64_t i = 0; i < sizes.h; ++i) {
        for (int64_t j = 0; j < sizes.w; ++j, at += sizes.c) {
          take_row(vertical + at, columns.data() + j * channels, channels);
        }
      }
      clear_signs_of_zeros(columns);
      at = first;
      for (int64_t i = 0; i < sizes.h; ++i) {
        std::fill(row.begin(), row.end(), lowest<W>());
        const int64_t begin = at;
        for (int64_t j = 0; j < sizes.w; ++j, at += sizes.c) {
          take_row(horizontal + at, row.data(), channels);
        }
        for (int64_t j = 0; j < sizes.w; ++j) {
          const W* column = columns.data() + j * channels;
          add_rows(column, row.data(), y + begin + j * sizes.c, channels);
        }
      }
    });
  });
}

template <typename T>
void pool_images_backward(
    const T* g, const T* vertical, const T* horizontal, T* grad_v, T* grad_h,
    const MapSizes& sizes) {
  using W = typename Wide<T>::type;
  for_each_strip<T>(sizes, [&](int64_t first, int64_t channels) {
    Lines<W> columns(sizes.w * channels);
    Lines<W> row(channels);
    columns.start();
    vectorized([&]() CORNERNET_INLINE_LAMBDA {
      int64_t at = first;
      for (int64_t i = 0; i < sizes.h; ++i) {
        row.start();
        const int64_t begin = at;
        for (int64_t j = 0; j < sizes.w; ++j, at += sizes.c) {
          columns.take(g + at, vertical + at, static_cast<Lane<W>>(i), j * channels, channels);
          row.take(g + at, horizontal + at, static_cast<Lane<W>>(j), 0, channels);
        }
        for (int64_t c = 0; c < channels; ++c) {
          grad_h[begin + row.positions[c] * sizes.c + c] = narrow<T>(row.sums[c]);
        }
      }
      for (int64_t j = 0; j < sizes.w; ++j) {
        for (int64_t c = 0; c < channels; ++c) {
          const int64_t line = j * channels + c;
          const int64_t cell = columns.positions[line] * sizes.w + j;
          grad_v[first + cell * sizes.c + c] = narrow<T>(columns.sums[line]);
        }
      }
    });
  });
}

at::Tensor center_pool(const CenterPoolArgs& args) {
  at::Tensor y = use_huge_pages(args.empty_map());
  if (y.numel() > 0) {
    dispatch(y.scalar_type(), [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      const MapSizes sizes = args.sizes();
      const auto pool = sizes.channels_last ? &pool_images<T> : &pool_planes<T>;
      pool(
          args.vertical.const_data_ptr<T>(), args.horizontal.const_data_ptr<T>(),
          y.mutable_data_ptr<T>(), sizes);
    });
  }
  return y;
}

CenterPoolBackwardArgs::Result center_pool_backward(const CenterPoolBackwardArgs& args) {
  at::Tensor grad_v = use_huge_pages(args.empty_map()).zero_();
  at::Tensor grad_h = use_huge_pages(args.empty_map()).zero_();
  if (grad_v.numel() > 0) {
    dispatch(grad_v.scalar_type(), [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      const MapSizes sizes = args.sizes();
      const auto pool = sizes.channels_last ? &pool_images_backward<T> : &pool_planes_backward<T>;
      pool(
          args.grad_out.const_data_ptr<T>(), args.vertical.const_data_ptr<T>(),
          args.horizontal.const_data_ptr<T>(), grad_v.mutable_data_ptr<T>(),
          grad_h.mutable_data_ptr<T>(), sizes);
    });
  }
  return {grad_v, grad_h};
}

TORCH_LIBRARY_IMPL(cornernet, CPU, m) {
  implement<CenterPoolArgs, &center_pool>(m);
  implement<CenterPoolBackwardArgs, &center_pool_backward>(m);
}

}  // namespace
}  // namespace cornernet::cpu
