// crop_resize on CUDA: contract in cornernet_ops/crop_resize.py.
//
// A thread for every pixel of every canvas, which it writes in all channels: neighbours in a warp
// write side by side, and read from cache what others of them read too.

#include "../common/arithmetic.h"
#include "crop_resize.h"
#include "element.h"
#include "launch.h"

namespace cornernet::cuda {
namespace {

constexpr int kThreads = 256;

__device__ float read(const CropResize& task, int64_t at) {
  switch (task.image_dtype) {
    case Dtype::kByte:
      return static_cast<float>(static_cast<const uint8_t*>(task.images)[at]);
    case Dtype::kHalf:
      return widen(static_cast<const Half*>(task.images)[at]);
    case Dtype::kBFloat16:
      return widen(static_cast<const BFloat16*>(task.images)[at]);
    default:
      return static_cast<const float*>(task.images)[at];
  }
}

__device__ void write(const CropResize& task, int64_t at, float value) {
  switch (task.canvas_dtype) {
    case Dtype::kHalf:
      static_cast<Half*>(task.canvas)[at] = narrow<Half>(value);
      break;
    case Dtype::kBFloat16:
      static_cast<BFloat16*>(task.canvas)[at] = narrow<BFloat16>(value);
      break;
    default:
      static_cast<float*>(task.canvas)[at] = value;
  }
}

// `blocks` of them for each crop.
__global__ void __launch_bounds__(kThreads) crop_pixels(CropResize task, int64_t blocks) {
  const int64_t crop = blockIdx.x / blocks;
  const int64_t area = task.height * task.width;
  const int64_t pixel = (blockIdx.x - crop * blocks) * kThreads + threadIdx.x;
  if (pixel >= area) {
    return;
  }
  const int64_t image = task.image_index == nullptr ? 0 : task.image_index[crop];
  DEVICE_ASSERT(image >= 0 && image < task.images_count && "image_index: expected 0 to images - 1");
  const int64_t y = pixel / task.width;
  const int64_t x = pixel - y * task.width;
  const CropAxis x_axis = task.x_axis(crop);
  const CropAxis y_axis = task.y_axis(crop);
  const bool inside = x >= x_axis.first() && x < x_axis.end(task.width) && y >= y_axis.first() &&
                      y < y_axis.end(task.height);
  Neighbours across{0, 0, 0.0F};
  Neighbours down{0, 0, 0.0F};
  if (inside) {
    across = x_axis.at(x);
    down = y_axis.at(y);
  }
  for (int64_t channel = 0; channel < task.channels; ++channel) {
    float value = 0.0F;
    if (inside) {
      const int64_t plane = image * task.strides[0] + channel * task.strides[1];
      const auto row = [&](int64_t number) {
        const int64_t first = plane + number * task.strides[2];
        return interpolate(
            read(task, first + across.low * task.strides[3]),
            read(task, first + across.high * task.strides[3]), across.weight);
      };
      value = interpolate(row(down.low), row(down.high), down.weight);
    }
    write(task, (crop * task.channels + channel) * area + pixel, task.normalised(value, channel));
  }
}

}  // namespace

cudaError_t launch_crop_resize(cudaStream_t stream, const CropResize& task) {
  const int64_t blocks = ceil_div<int64_t>(task.height * task.width, kThreads);
  if (!fits_grid(blocks * task.count)) {
    return cudaErrorInvalidConfiguration;
  }
  CUDA_LAUNCH(crop_pixels, blocks * task.count, kThreads, stream, task, blocks);
  return cudaGetLastError();
}

}  // namespace cornernet::cuda
