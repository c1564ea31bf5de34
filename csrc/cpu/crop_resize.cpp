// crop_resize on the CPU: contract in cornernet_ops/crop_resize.py.
//
// A canvas's channel is written row by row. A row of the image is resampled once, along x, and kept
// while rows of the canvas lie beside it: enlarged, there are fewer of them than of the canvas.

#include "../common/crop_resize.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "../common/crop_resize_args.h"
#include "element.h"
#include "half_convert.h"
#include "simd.h"
#include "tensors.h"

namespace cornernet::cpu {
namespace {

// Pixels a thread should have at least, so that starting it pays.
constexpr int64_t kGrain = 32768;

template <typename In>
CORNERNET_INLINE float pixel(In value) {
  if constexpr (std::is_same_v<In, uint8_t>) {
    return static_cast<float>(value);
  } else {
    return widen(value);
  }
}

// Where the pixels of a canvas's row come from, in elements from the beginning of the image's.
struct Columns {
  Columns(const CropAxis& axis, int64_t width, int64_t stride)
      : first(std::min(axis.first(), width)), end(std::max(first, axis.end(width))) {
    for (int64_t at = first; at < end; ++at) {
      const Neighbours neighbours = axis.at(at);
      low.push_back(neighbours.low * stride);
      high.push_back(neighbours.high * stride);
      weight.push_back(neighbours.weight);
    }
  }

  int64_t first;
  int64_t end;
  std::vector<int64_t> low;
  std::vector<int64_t> high;
  std::vector<float> weight;
};

// The last two rows of the image that were resampled along x.
template <typename In>
class Rows {
 public:
  Rows(const Columns& columns, const In* image, int64_t stride)
      : columns_(columns), image_(image), stride_(stride) {
    for (Row& row : rows_) {
      row.pixels.resize(columns.low.size());
    }
  }

  // The row of this number; that of `kept` stays as it is.
  CORNERNET_INLINE const float* get(int64_t number, int64_t kept) {
    if (rows_[0].number == number || rows_[1].number == number) {
      return rows_[rows_[0].number == number ? 0 : 1].pixels.data();
    }
    Row& row = rows_[rows_[0].number == kept ? 1 : 0];
    const In* from = image_ + number * stride_;
    float* to = row.pixels.data();
    const int64_t count = static_cast<int64_t>(row.pixels.size());
    for (int64_t i = 0; i < count; ++i) {
      const float low = pixel(from[columns_.low[i]]);
      const float high = pixel(from[columns_.high[i]]);
      to[i] = interpolate(low, high, columns_.weight[i]);
    }
    row.number = number;
    return to;
  }

 private:
  struct Row {
    int64_t number = -1;
    std::vector<float> pixels;
  };

  const Columns& columns_;
  const In* image_;
  int64_t stride_;
  Row rows_[2];
};

// One channel of one canvas.
template <typename In, typename Out>
CORNERNET_INLINE void crop(const CropResize& task, int64_t crop, int64_t channel) {
  const int64_t image = task.image_index == nullptr ? 0 : task.image_index[crop];
  const CropAxis y_axis = task.y_axis(crop);
  const Columns columns(task.x_axis(crop), task.width, task.strides[3]);
  const In* from =
      static_cast<const In*>(task.images) + image * task.strides[0] + channel * task.strides[1];
  Rows<In> rows(columns, from, task.strides[2]);

  const float mean = task.mean == nullptr ? 0.0F : task.mean[channel];
  const float std = task.std == nullptr ? 1.0F : task.std[channel];
  const Out black = narrow<Out>(task.normalised(0.0F, channel));
  const int64_t end = y_axis.end(task.height);
  const int64_t count = columns.end - columns.first;
  Out* canvas =
      static_cast<Out*>(task.canvas) + (crop * task.channels + channel) * task.height * task.width;
  for (int64_t y = 0; y < task.height; ++y, canvas += task.width) {
    if (y < y_axis.first() || y >= end || count == 0) {
      std::fill_n(canvas, task.width, black);
      continue;
    }
    const Neighbours neighbours = y_axis.at(y);
    const float* low = rows.get(neighbours.low, neighbours.high);
    const float* high = rows.get(neighbours.high, neighbours.low);
    std::fill_n(canvas, columns.first, black);
    std::fill_n(canvas + columns.end, task.width - columns.end, black);
    Out* to = canvas + columns.first;
    for (int64_t i = 0; i < count; ++i) {
      const float value = interpolate(low[i], high[i], neighbours.weight);
      to[i] = narrow<Out>((value - mean) / std);
    }
  }
}

template <typename In, typename Out>
void crop_all(const CropResize& task) {
  const int64_t grain = 1 + kGrain / (task.height * task.width);
  at::parallel_for(0, task.count * task.channels, grain, [&](int64_t begin, int64_t end) {
    vectorized([&]() CORNERNET_INLINE_LAMBDA {
      for (int64_t i = begin; i < end; ++i) {
        crop<In, Out>(task, i / task.channels, i % task.channels);
      }
    });
  });
}

// Calls body with a null pointer to the type of normalised pixels.
template <typename Body>
void dispatch_normalised(Dtype dtype, const Body& body) {
  switch (dtype) {
    case Dtype::kHalf:
      return body(static_cast<c10::Half*>(nullptr));
    case Dtype::kBFloat16:
      return body(static_cast<c10::BFloat16*>(nullptr));
    default:
      return body(static_cast<float*>(nullptr));
  }
}

// The same for the pixels of images.
template <typename Body>
void dispatch_pixels(Dtype dtype, const Body& body) {
  if (dtype == Dtype::kByte) {
    body(static_cast<uint8_t*>(nullptr));
  } else {
    dispatch_normalised(dtype, body);
  }
}

at::Tensor crop_resize(const CropResizeArgs& args) {
  args.check_ranges();
  use_huge_pages(args.canvas);
  if (args.canvas.numel() > 0) {
    const CropResize task = args.pointers();
    dispatch_pixels(task.image_dtype, [&](auto* in) {
      dispatch_normalised(task.canvas_dtype, [&](auto* out) {
        crop_all<std::remove_pointer_t<decltype(in)>, std::remove_pointer_t<decltype(out)>>(task);
      });
    });
  }
  return args.canvas;
}

TORCH_LIBRARY_IMPL(cornernet, CPU, m) {
  implement<CropResizeArgs, &crop_resize>(m);
}

}  // namespace
}  // namespace cornernet::cpu
