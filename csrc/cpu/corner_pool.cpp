// corner_pool and corner_pool_add on the CPU: contract in cornernet_ops/corner_pool.py and
// corner_pool_add.py, arithmetic in simd_scan.h.
//
// This file cuts the work into pieces that stay in cache while they are worked on, and prefetches
// the next piece meanwhile.

#include "corner_pool.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "launch.h"
#include "prefetch.h"
#include "simd_scan.h"
#include "tensors.h"

namespace cornernet::cpu {
namespace {

// Elements a thread should have at least, so that starting it pays.
constexpr int64_t kGrain = 32768;
// Scans in descending address order go through planes of this many bytes piece by piece, in
// columns, while the next piece is prefetched in ascending order; so do all scans of rows that are
// shorter than kRowBytes. Others go row by row.
constexpr int64_t kPlaneBytes = 1 << 16;
constexpr int64_t kRowBytes = 1 << 7;
// Bytes of a row that are worked on at once, so that the state of their columns stays in the first
// cache; and in backward the heads of as many rows, in the second, but no less than kRunBytes a
// row.
constexpr int64_t kPanelBytes = 1 << 13;
constexpr int64_t kHeadBytes = 1 << 19;
constexpr int64_t kRunBytes = 1 << 10;

template <typename T>
bool in_columns(const Scan& scan, bool descending) {
  const int64_t row = scan.inner * static_cast<int64_t>(sizeof(T));
  return row < kRowBytes || (descending && row * scan.length <= kPlaneBytes);
}

// A scan across the innermost dimension cut into pieces: whole planes, or strips of larger ones.
template <typename T>
class Pieces {
 public:
  // Strips have about `bytes` bytes a row.
  Pieces(const Scan& scan, int64_t bytes) : scan_(scan) {
    // Every thread should have some, and strips begin where lines do, as far as the tensor does.
    const int64_t least = (4 * at::get_num_threads() + scan.outer - 1) / scan.outer;
    constexpr int64_t kBytes = sizeof(T);
    constexpr int64_t kLine = kCacheLine / kBytes;
    const int64_t fitting = (scan.inner * kBytes - 1) / std::max<int64_t>(bytes, 1) + 1;
    width_ = std::max(kLine, scan.inner / std::max(least, fitting) / kLine * kLine);
    strips_ = std::max<int64_t>(1, scan.inner / width_);
  }

  int64_t count() const { return strips_ * scan_.outer; }
  int64_t grain() const { return std::max<int64_t>(1, kGrain / (scan_.length * width_)); }
  // The last strip of a plane has what is left over, too.
  int64_t width(int64_t piece) const {
    return piece % strips_ == strips_ - 1 ? scan_.inner - (strips_ - 1) * width_ : width_;
  }
  int64_t offset(int64_t piece) const {
    return piece / strips_ * scan_.length * scan_.inner + piece % strips_ * width_;
  }
  // Prefetches a piece of a tensor; nothing past the last.
  Prefetcher prefetcher(const T* tensor, int64_t piece, int64_t end, bool write) const {
    if (piece >= end) {
      return Prefetcher();
    }
    return Prefetcher(tensor + offset(piece), scan_.length, width(piece), scan_.inner, write);
  }

 private:
  Scan scan_;
  int64_t strips_;
  int64_t width_;
};

// addend: null unless `add`.
template <typename T, bool add>
void pool(const T* x, const T* addend, T* y, const Scan& scan) {
  const int64_t length = scan.length;
  const int64_t inner = scan.inner;
  // Address arithmetic on no addend would be undefined: x stands for it, unread.
  const T* added = add ? addend : x;
  if (inner == 1) {
    const auto kernel = best_kernel(scan.reverse, [](auto kernels, auto reverse) {
      return kernels.template rows<T, reverse, add>;
    });
    at::parallel_for(0, scan.outer, 1 + kGrain / length, [&](int64_t begin, int64_t end) {
      const int64_t at = begin * length;
      const int64_t rows = end - begin;
      kernel(
          x + at, added + at, y + at, length, rows, rows_prefetcher(x + at, length, rows, false),
          add ? rows_prefetcher(added + at, length, rows, false) : Prefetcher(),
          rows_prefetcher(y + at, length, rows, true));
    });
  } else if (in_columns<T>(scan, scan.reverse)) {
    constexpr int kCache = add ? kSecondCache : kFirstCache;
    const auto kernel = best_kernel(scan.reverse, [](auto kernels, auto reverse) {
      return kernels.template columns<T, reverse, add, kCache>;
    });
    const Pieces<T> pieces(scan, kPlaneBytes / length);
    at::parallel_for(0, pieces.count(), pieces.grain(), [&](int64_t begin, int64_t end) {
      for (int64_t piece = begin; piece < end; ++piece) {
        const int64_t at = pieces.offset(piece);
        kernel(
            x + at, added + at, y + at, length, inner, pieces.width(piece),
            pieces.prefetcher(x, piece + 1, end, false),
            add ? pieces.prefetcher(added, piece + 1, end, false) : Prefetcher(),
            pieces.prefetcher(y, piece + 1, end, true));
      }
    });
  } else {
    const auto kernel = best_kernel(scan.reverse, [](auto kernels, auto reverse) {
      return kernels.template panel<T, reverse, add>;
    });
    const Pieces<T> pieces(scan, kPanelBytes);
    at::parallel_for(0, pieces.count(), pieces.grain(), [&](int64_t begin, int64_t end) {
      Scratch state;
      for (int64_t piece = begin; piece < end; ++piece) {
        const int64_t at = pieces.offset(piece);
        kernel(x + at, added + at, y + at, length, inner, pieces.width(piece), state);
      }
    });
  }
}

template <typename T>
void pool_backward(const T* g, const T* x, T* dx, const Scan& scan) {
  const int64_t length = scan.length;
  const int64_t inner = scan.inner;
  if (inner == 1) {
    const auto kernel = best_kernel(scan.reverse, [](auto kernels, auto reverse) {
      return kernels.template rows_backward<T, reverse>;
    });
    at::parallel_for(0, scan.outer, 1 + kGrain / length, [&](int64_t begin, int64_t end) {
      Scratch heads;
      const int64_t at = begin * length;
      const int64_t rows = end - begin;
      kernel(
          g + at, x + at, dx + at, length, rows, heads,
          rows_prefetcher(g + at, length, rows, false),
          rows_prefetcher(x + at, length, rows, false),
          rows_prefetcher(dx + at, length, rows, true));
    });
  } else if (in_columns<T>(scan, true)) {
    // Either the heads or the sums go in descending address order.
    const auto kernel = best_kernel(scan.reverse, [](auto kernels, auto reverse) {
      return kernels.template columns_backward<T, reverse>;
    });
    const Pieces<T> pieces(scan, kPlaneBytes / length);
    at::parallel_for(0, pieces.count(), pieces.grain(), [&](int64_t begin, int64_t end) {
      Scratch heads;
      for (int64_t piece = begin; piece < end; ++piece) {
        const int64_t at = pieces.offset(piece);
        kernel(
            g + at, x + at, dx + at, length, inner, pieces.width(piece), heads,
            pieces.prefetcher(g, piece + 1, end, false),
            pieces.prefetcher(x, piece + 1, end, false),
            pieces.prefetcher(dx, piece + 1, end, true));
      }
    });
  } else {
    const auto kernel = best_kernel(scan.reverse, [](auto kernels, auto reverse) {
      return kernels.template panel_backward<T, reverse>;
    });
    const Pieces<T> pieces(scan, std::max(kRunBytes, kHeadBytes / length));
    at::parallel_for(0, pieces.count(), pieces.grain(), [&](int64_t begin, int64_t end) {
      Scratch heads;
      Scratch state;
      for (int64_t piece = begin; piece < end; ++piece) {
        const int64_t at = pieces.offset(piece);
        kernel(g + at, x + at, dx + at, length, inner, pieces.width(piece), heads, state);
      }
    });
  }
}

}  // namespace

at::Tensor corner_pool(const CornerPoolArgs& args) {
  at::Tensor y = use_huge_pages(args.empty_result());
  if (y.numel() > 0) {
    dispatch(y.scalar_type(), [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      pool<T, false>(args.x.const_data_ptr<T>(), nullptr, y.mutable_data_ptr<T>(), args.scan);
    });
  }
  return y;
}

at::Tensor corner_pool_add(const CornerPoolAddArgs& args) {
  at::Tensor y = use_huge_pages(args.empty_result());
  if (y.numel() > 0) {
    dispatch(y.scalar_type(), [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      pool<T, true>(
          args.x.const_data_ptr<T>(), args.addend.const_data_ptr<T>(), y.mutable_data_ptr<T>(),
          args.scan);
    });
  }
  return y;
}

at::Tensor corner_pool_backward(const CornerPoolBackwardArgs& args) {
  at::Tensor grad_x = use_huge_pages(args.empty_result());
  if (grad_x.numel() > 0) {
    dispatch(grad_x.scalar_type(), [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      pool_backward(
          args.grad_out.const_data_ptr<T>(), args.x.const_data_ptr<T>(),
          grad_x.mutable_data_ptr<T>(), args.scan);
    });
  }
  return grad_x;
}

TORCH_LIBRARY_IMPL(cornernet, CPU, m) {
  implement<CornerPoolArgs, &corner_pool>(m);
  implement<CornerPoolBackwardArgs, &corner_pool_backward>(m);
}

}  // namespace cornernet::cpu
