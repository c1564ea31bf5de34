// corner_pool_pair on the CPU: contract in cornernet_ops/corner_pool_pair.py, arithmetic in
// simd_scan.h.
//
// A plane, or in channels_last a row of an image, is scanned both ways while it is in cache, so
// that every tensor goes through memory once. Planes that no cache holds are scanned one way after
// the other.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <tuple>
#include <type_traits>

#include "../common/corner_pool_pair_args.h"
#include "corner_pool.h"
#include "launch.h"
#include "prefetch.h"
#include "simd_scan.h"
#include "tensors.h"

namespace cornernet::cpu {
namespace {

// Elements a thread should have at least, so that starting it pays.
constexpr int64_t kGrain = 32768;
// Bytes of a plane of which several tensors' are in a usual L2 cache at once.
constexpr int64_t kPlaneBytes = 1 << 17;

// Tensors [n, c, h, w], the channels innermost or the planes one after the other.
struct Maps {
  int64_t n;
  int64_t c;
  int64_t h;
  int64_t w;
  bool reverse;  // both scans, for top-left corners

  int64_t plane() const { return h * w; }
};

Maps maps_of(const at::Tensor& x, const std::string& corner) {
  return {x.size(0), x.size(1), x.size(2), x.size(3), corner == "top_left"};
}

bool fits_cache(const at::Tensor& x) {
  return x.size(2) * x.size(3) * x.element_size() <= kPlaneBytes;
}

// Prefetches a plane as one run of memory; nothing past the last.
template <typename T>
Prefetcher plane_prefetcher(
    const T* tensor, const Maps& maps, int64_t plane, int64_t end, bool write) {
  if (plane >= end) {
    return Prefetcher();
  }
  return Prefetcher(tensor + plane * maps.plane(), 1, maps.plane(), 0, write);
}

template <typename T>
void pool_planes(const T* vertical, const T* horizontal, T* y, const Maps& maps) {
  const auto columns = best_kernel(maps.reverse, [](auto kernels, auto reverse) {
    return kernels.template columns<T, reverse, false, kSecondCache>;
  });
  const auto rows = best_kernel(maps.reverse, [](auto kernels, auto reverse) {
    return kernels.template rows<T, reverse, true>;
  });
  const int64_t grain = 1 + kGrain / maps.plane();
  at::parallel_for(0, maps.n * maps.c, grain, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const int64_t at = plane * maps.plane();
      columns(
          vertical + at, y + at, y + at, maps.h, maps.w, maps.w,
          plane_prefetcher(horizontal, maps, plane, end, false), Prefetcher(), Prefetcher());
      rows(
          horizontal + at, y + at, y + at, maps.w, maps.h,
          plane_prefetcher(vertical, maps, plane + 1, end, false), Prefetcher(),
          plane_prefetcher(y, maps, plane + 1, end, true));
    }
  });
}

template <typename T>
void pool_planes_backward(
    const T* g, const T* vertical, const T* horizontal, T* grad_v, T* grad_h, const Maps& maps) {
  const auto columns = best_kernel(maps.reverse, [](auto kernels, auto reverse) {
    return kernels.template columns_backward<T, reverse>;
  });
  const auto rows = best_kernel(maps.reverse, [](auto kernels, auto reverse) {
    return kernels.template rows_backward<T, reverse>;
  });
  const int64_t grain = 1 + kGrain / maps.plane();
  at::parallel_for(0, maps.n * maps.c, grain, [&](int64_t begin, int64_t end) {
    Scratch heads;
    for (int64_t plane = begin; plane < end; ++plane) {
      const int64_t at = plane * maps.plane();
      columns(
          g + at, vertical + at, grad_v + at, maps.h, maps.w, maps.w, heads, Prefetcher(),
          plane_prefetcher(horizontal, maps, plane, end, false),
          plane_prefetcher(grad_h, maps, plane, end, true));
      rows(
          g + at, horizontal + at, grad_h + at, maps.w, maps.h, heads,
          plane_prefetcher(g, maps, plane + 1, end, false),
          plane_prefetcher(vertical, maps, plane + 1, end, false),
          plane_prefetcher(grad_v, maps, plane + 1, end, true));
    }
  });
}

// y holds the vertical scan.
template <typename T>
void add_rows(const T* horizontal, T* y, const Maps& maps) {
  const auto kernel = best_kernel(maps.reverse, [](auto kernels, auto reverse) {
    return kernels.template rows<T, reverse, true>;
  });
  const int64_t count = maps.n * maps.c * maps.h;
  at::parallel_for(0, count, 1 + kGrain / maps.w, [&](int64_t begin, int64_t end) {
    const int64_t at = begin * maps.w;
    const int64_t rows = end - begin;
    kernel(
        horizontal + at, y + at, y + at, maps.w, rows,
        rows_prefetcher(horizontal + at, maps.w, rows, false), Prefetcher(),
        rows_prefetcher(y + at, maps.w, rows, true));
  });
}

template <typename T>
void pool_images(const T* vertical, const T* horizontal, T* y, const Maps& maps) {
  const auto kernel = best_kernel(
      maps.reverse, [](auto kernels, auto reverse) { return kernels.template image<T, reverse>; });
  // Whole cache lines of channels, as many parts of an image as give every thread something to do.
  constexpr int64_t kLine = kCacheLine / sizeof(T);
  const int64_t wanted = (2 * at::get_num_threads() + maps.n - 1) / maps.n;
  const int64_t width = std::max(kLine, (maps.c / wanted + kLine - 1) / kLine * kLine);
  const int64_t parts = std::max<int64_t>(1, maps.c / width);
  const int64_t grain = 1 + kGrain / (maps.plane() * width);
  at::parallel_for(0, maps.n * parts, grain, [&](int64_t begin, int64_t end) {
    Scratch state;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % parts * width;
      const int64_t channels = i % parts == parts - 1 ? maps.c - first : width;
      const int64_t at = i / parts * maps.plane() * maps.c + first;
      kernel(vertical + at, horizontal + at, y + at, maps.h, maps.w, maps.c, channels, state);
    }
  });
}

at::Tensor corner_pool_pair(const CornerPoolPairArgs& args) {
  const at::Tensor& v = args.vertical;
  const bool two_passes = !args.channels_last() && !fits_cache(v);
  at::Tensor y = two_passes ? corner_pool(CornerPoolArgs(v, vertical_direction(args.corner)))
                            : use_huge_pages(args.empty_result());
  if (y.numel() == 0) {
    return y;
  }
  dispatch(v.scalar_type(), [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const Maps maps = maps_of(v, args.corner);
    const T* from_v = v.const_data_ptr<T>();
    const T* from_h = args.horizontal.const_data_ptr<T>();
    T* to = y.mutable_data_ptr<T>();
    if (args.channels_last()) {
      pool_images(from_v, from_h, to, maps);
    } else if (two_passes) {
      add_rows(from_h, to, maps);
    } else {
      pool_planes(from_v, from_h, to, maps);
    }
  });
  return y;
}

std::tuple<at::Tensor, at::Tensor> corner_pool_pair_backward(
    const CornerPoolPairBackwardArgs& args) {
  const at::Tensor& v = args.vertical;
  if (args.channels_last() || !fits_cache(v)) {
    return args.two_passes(&corner_pool_backward);
  }
  at::Tensor grad_v = use_huge_pages(at::empty_like(v, {}, args.layout));
  at::Tensor grad_h = use_huge_pages(at::empty_like(v, {}, args.layout));
  if (grad_v.numel() == 0) {
    return {grad_v, grad_h};
  }
  dispatch(v.scalar_type(), [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    pool_planes_backward(
        args.grad_out.const_data_ptr<T>(), v.const_data_ptr<T>(),
        args.horizontal.const_data_ptr<T>(), grad_v.mutable_data_ptr<T>(),
        grad_h.mutable_data_ptr<T>(), maps_of(v, args.corner));
  });
  return {grad_v, grad_h};
}

TORCH_LIBRARY_IMPL(cornernet, CPU, m) {
  implement<CornerPoolPairArgs, &corner_pool_pair>(m);
  implement<CornerPoolPairBackwardArgs, &corner_pool_pair_backward>(m);
}

}  // namespace
}  // namespace cornernet::cpu
