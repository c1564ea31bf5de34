// corner_pool on the CPU: contract in cornernet_ops/corner_pool.py.
//
// One kernel serves all directions and layouts. It scans a panel, `length` rows of `width`
// elements, row by row, so that neighbours in memory are lanes of a vector. Where the scanned
// dimension is the innermost one itself, a block of rows is turned into such a panel in cache, and
// back.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "../common/corner_pool_args.h"
#include "dispatch.h"
#include "order.h"
#include "simd.h"
#include "turn.h"

namespace cornernet {
namespace {

// Elements a thread should have at least, so that starting it pays.
constexpr int64_t kGrain = 32768;
// Bytes of a panel of backward's marks, which are written and then read again: half of a usual L2.
constexpr int64_t kPanelBytes = 1 << 17;
constexpr int64_t kMinWidth = 32;
constexpr int64_t kMaxWidth = 512;
// Rows that are turned into a panel together: whole cache lines of it for every dtype.
constexpr int64_t kTurnedRows = 32;

// `length` rows of `width` elements, `stride` elements apart, in scan order.
struct Panel {
  int64_t length;
  int64_t width;
  int64_t stride;
  bool reverse;

  int64_t row(int64_t step) const { return (reverse ? length - 1 - step : step) * stride; }
};

template <typename T>
CORNERNET_INLINE void pool_panel(const T* x, T* y, const Panel& panel) {
  std::copy_n(x + panel.row(0), panel.width, y + panel.row(0));
  for (int64_t step = 1; step < panel.length; ++step) {
    const T* __restrict from = x + panel.row(step);
    const T* __restrict before = y + panel.row(step - 1);
    T* __restrict to = y + panel.row(step);
    for (int64_t i = 0; i < panel.width; ++i) {
      to[i] = choose(takes_over(from[i], before[i]), from[i], before[i]);
    }
  }
}

template <typename T>
struct Scratch {
  explicit Scratch(int64_t length, int64_t width)
      : marks(length * width), maximum(width), sum(width) {}

  // As wide as T, so that vectors of both have the same lanes.
  std::vector<typename IntegerOf<sizeof(T)>::type> marks;
  std::vector<T> maximum;
  std::vector<typename Wide<T>::type> sum;
};

// A maximum collects the gradients from its own row up to the next maximum's. So: first mark where
// a new maximum takes over, in scan order; then add up against it, and let go at every mark.
template <typename T>
CORNERNET_INLINE void pool_panel_backward(
    const T* g, const T* x, T* dx, const Panel& panel, Scratch<T>& scratch) {
  using Sum = typename Wide<T>::type;
  using Mark = typename IntegerOf<sizeof(T)>::type;
  T* __restrict maximum = scratch.maximum.data();
  Sum* __restrict sum = scratch.sum.data();

  std::copy_n(x + panel.row(0), panel.width, maximum);
  for (int64_t step = 1; step < panel.length; ++step) {
    const T* __restrict from = x + panel.row(step);
    Mark* __restrict marks = scratch.marks.data() + step * panel.width;
    for (int64_t i = 0; i < panel.width; ++i) {
      const bool over = takes_over(from[i], maximum[i]);
      marks[i] = over ? -1 : 0;
      maximum[i] = choose(over, from[i], maximum[i]);
    }
  }

  std::fill_n(sum, panel.width, Sum(0));
  for (int64_t step = panel.length - 1; step > 0; --step) {
    const T* __restrict from = g + panel.row(step);
    T* __restrict to = dx + panel.row(step);
    const Mark* __restrict marks = scratch.marks.data() + step * panel.width;
    for (int64_t i = 0; i < panel.width; ++i) {
      const Sum total = sum[i] + static_cast<Sum>(from[i]);
      to[i] = static_cast<T>(marks[i] ? total : Sum(0));
      sum[i] = marks[i] ? Sum(0) : total;
    }
  }
  const T* __restrict from = g + panel.row(0);
  T* __restrict to = dx + panel.row(0);
  for (int64_t i = 0; i < panel.width; ++i) {
    to[i] = static_cast<T>(sum[i] + static_cast<Sum>(from[i]));
  }
}

// The lanes of a scan cut into pieces, the units of work: strips of the innermost dimension, or
// blocks of rows where that is the one that is scanned.
class Pieces {
 public:
  Pieces(const Scan& scan, int64_t widest)
      : turned_(scan.inner == 1),
        length_(scan.length),
        lanes_(turned_ ? scan.outer : scan.inner),
        width_(std::min(lanes_, widest)),
        per_group_((lanes_ + width_ - 1) / width_),
        count_(turned_ ? per_group_ : per_group_ * scan.outer) {}

  int64_t count() const { return count_; }
  int64_t width() const { return width_; }
  int64_t grain() const { return std::max<int64_t>(1, kGrain / (length_ * width_)); }
  int64_t lanes(int64_t piece) const { return std::min(width_, lanes_ - first(piece)); }
  // Where the piece begins in memory.
  int64_t offset(int64_t piece) const {
    return turned_ ? first(piece) * length_ : piece / per_group_ * length_ * lanes_ + first(piece);
  }

 private:
  int64_t first(int64_t piece) const { return piece % per_group_ * width_; }

  bool turned_;
  int64_t length_;
  int64_t lanes_;
  int64_t width_;
  int64_t per_group_;
  int64_t count_;
};

template <typename T>
void pool(const T* x, T* y, const Scan& scan) {
  const bool turned = scan.inner == 1;
  const int64_t length = scan.length;
  const Pieces pieces(scan, turned ? kTurnedRows : kMaxWidth);
  const int64_t width = pieces.width();

  at::parallel_for(0, pieces.count(), pieces.grain(), [&](int64_t begin, int64_t end) {
    std::vector<T> x_columns(turned ? length * width : 0);
    std::vector<T> y_columns(x_columns.size());
    vectorized([&]() CORNERNET_INLINE_LAMBDA {
      for (int64_t piece = begin; piece < end; ++piece) {
        const int64_t at = pieces.offset(piece);
        const int64_t lanes = pieces.lanes(piece);
        if (turned) {
          turn(x + at, length, x_columns.data(), width, lanes, length);
          pool_panel(x_columns.data(), y_columns.data(), Panel{length, lanes, width, scan.reverse});
          turn(y_columns.data(), width, y + at, length, length, lanes);
        } else {
          pool_panel(x + at, y + at, Panel{length, lanes, scan.inner, scan.reverse});
        }
      }
    });
  });
}

template <typename T>
void pool_backward(const T* g, const T* x, T* dx, const Scan& scan) {
  const bool turned = scan.inner == 1;
  const int64_t length = scan.length;
  const int64_t fitting = kPanelBytes / (length * static_cast<int64_t>(sizeof(T)));
  const Pieces pieces(scan, turned ? kTurnedRows : std::clamp(fitting, kMinWidth, kMaxWidth));
  const int64_t width = pieces.width();

  at::parallel_for(0, pieces.count(), pieces.grain(), [&](int64_t begin, int64_t end) {
    Scratch<T> scratch(length, width);
    std::vector<T> g_columns(turned ? length * width : 0);
    std::vector<T> x_columns(g_columns.size());
    std::vector<T> dx_columns(g_columns.size());
    vectorized([&]() CORNERNET_INLINE_LAMBDA {
      for (int64_t piece = begin; piece < end; ++piece) {
        const int64_t at = pieces.offset(piece);
        const int64_t lanes = pieces.lanes(piece);
        if (turned) {
          turn(g + at, length, g_columns.data(), width, lanes, length);
          turn(x + at, length, x_columns.data(), width, lanes, length);
          pool_panel_backward(
              g_columns.data(), x_columns.data(), dx_columns.data(),
              Panel{length, lanes, width, scan.reverse}, scratch);
          turn(dx_columns.data(), width, dx + at, length, length, lanes);
        } else {
          pool_panel_backward(
              g + at, x + at, dx + at, Panel{length, lanes, scan.inner, scan.reverse}, scratch);
        }
      }
    });
  });
}

at::Tensor corner_pool(const at::Tensor& x, const std::string& direction) {
  check_corner_pool("corner_pool", x, direction);
  const at::MemoryFormat layout = layout_of(x);
  const at::Tensor dense = x.contiguous(layout);
  at::Tensor y = at::empty_like(dense, {}, layout);
  if (y.numel() == 0) {
    return y;
  }
  dispatch(x.scalar_type(), [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    pool(dense.const_data_ptr<T>(), y.mutable_data_ptr<T>(), scan_of(x, layout, direction));
  });
  return y;
}

at::Tensor corner_pool_backward(
    const at::Tensor& grad_out, const at::Tensor& x, const std::string& direction) {
  check_corner_pool_backward(grad_out, x, direction);
  const at::MemoryFormat layout = layout_of(x);
  const at::Tensor dense = x.contiguous(layout);
  const at::Tensor grad = grad_out.contiguous(layout);
  at::Tensor dx = at::empty_like(dense, {}, layout);
  if (dx.numel() == 0) {
    return dx;
  }
  dispatch(x.scalar_type(), [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    pool_backward(
        grad.const_data_ptr<T>(), dense.const_data_ptr<T>(), dx.mutable_data_ptr<T>(),
        scan_of(x, layout, direction));
  });
  return dx;
}

}  // namespace
}  // namespace cornernet

TORCH_LIBRARY_IMPL(cornernet, CPU, m) {
  m.impl("corner_pool", &cornernet::corner_pool);
  m.impl("corner_pool_backward", &cornernet::corner_pool_backward);
}
