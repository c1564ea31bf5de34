// The tensors and the arithmetic of crop_resize, the same on every device. No torch here: device
// code includes this. The formula is explained in cornernet_ops/crop_resize.py.
#pragma once

#include <cstdint>

#include "dtype.h"
#include "host_device.h"

namespace cornernet {

// The pixels of a row or column of an image between which one of a canvas lies, and the weight of
// the higher.
struct Neighbours {
  int64_t low;
  int64_t high;
  float weight;
};

// One axis of a crop.
class CropAxis {
 public:
  // source, target: the windows [4] as x0, y0, x1, y1. axis: 0 for x, 1 for y. size: of the image.
  CORNERNET_HOST_DEVICE CropAxis(
      const int64_t* source, const int64_t* target, int axis, int64_t size)
      : begin_(source[axis]),
        last_(source[axis + 2] - source[axis] - 1),
        target_begin_(target[axis]),
        target_end_(target[axis + 2]),
        size_(size),
        scale_(
            target_end_ > target_begin_
                ? static_cast<float>(last_ + 1) / static_cast<float>(target_end_ - target_begin_)
                : 0.0F) {}

  // Pixels [first, end) of a canvas of this length lie in the target window; none if it is empty,
  // or the source window is.
  CORNERNET_HOST_DEVICE int64_t first() const { return target_begin_ > 0 ? target_begin_ : 0; }
  CORNERNET_HOST_DEVICE int64_t end(int64_t length) const {
    if (last_ < 0 || size_ == 0) {
      return 0;
    }
    return target_end_ < length ? target_end_ : length;
  }

  // Those of a pixel of the canvas that lies in the target window.
  CORNERNET_HOST_DEVICE Neighbours at(int64_t pixel) const {
    const float center = static_cast<float>(pixel - target_begin_) + 0.5F;
    // In two statements, so that the compiler makes no fused multiply-add of them.
    const float scaled = center * scale_;
    float place = scaled - 0.5F;
    place = place > 0.0F ? place : 0.0F;
    const int64_t low = static_cast<int64_t>(place);
    return {in_image(low), in_image(low + 1), place - static_cast<float>(low)};
  }

 private:
  // The nearest pixel of the window and of the image.
  CORNERNET_HOST_DEVICE int64_t in_image(int64_t pixel) const {
    const int64_t at = begin_ + (pixel < last_ ? pixel : last_);
    const int64_t above = at > 0 ? at : 0;
    return above < size_ ? above : size_ - 1;
  }

  int64_t begin_;
  int64_t last_;  // of the source window, from its first
  int64_t target_begin_;
  int64_t target_end_;
  int64_t size_;
  float scale_;
};

// The mean of two pixels.
CORNERNET_HOST_DEVICE_INLINE float interpolate(float low, float high, float weight) {
  const float rest = low * (1.0F - weight);
  const float part = high * weight;
  return rest + part;
}

// What the kernels read and write.
struct CropResize {
  const void* images;  // [N, C, H, W], of these strides
  Dtype image_dtype;
  int64_t strides[4];
  int64_t images_count;
  int64_t channels;
  int64_t image_height;
  int64_t image_width;
  const int64_t* sources;      // [R, 4], contiguous as all that follows
  const int64_t* targets;      // [R, 4]
  const int64_t* image_index;  // [R]; null: all 0
  const float* mean;           // [C]; null: 0
  const float* std;            // [C]; null: 1
  void* canvas;                // [R, C, height, width]
  Dtype canvas_dtype;
  int64_t count;
  int64_t height;
  int64_t width;

  CORNERNET_HOST_DEVICE CropAxis x_axis(int64_t crop) const {
    return {sources + 4 * crop, targets + 4 * crop, 0, image_width};
  }
  CORNERNET_HOST_DEVICE CropAxis y_axis(int64_t crop) const {
    return {sources + 4 * crop, targets + 4 * crop, 1, image_height};
  }
  CORNERNET_HOST_DEVICE float normalised(float value, int64_t channel) const {
    const float centered = mean == nullptr ? value : value - mean[channel];
    return std == nullptr ? centered : centered / std[channel];
  }
};

}  // namespace cornernet
