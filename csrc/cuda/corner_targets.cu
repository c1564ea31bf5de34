// corner_targets and center_targets on CUDA: contract in cornernet_ops/corner_targets.py and
// center_targets.py.
//
// Filling the maps with zeros is nearly all of the work, and torch's; the Gaussians cover few of
// their cells. Where they meet the larger value stands, by an atomic maximum, which no order of
// threads changes. So the last box of a cell is found, too, before its offset is written.

#include "../common/arithmetic.h"
#include "corner_targets.h"
#include "launch.h"

namespace cornernet::cuda {
namespace {

constexpr int kPlaceThreads = 128;
constexpr int kDrawThreads = 128;

__device__ TargetPoint point_of(const CornerTargets& targets, int64_t box, int kind) {
  return TargetPoint(targets, targets.boxes + 4 * box, kind);
}

// A thread for each keypoint of each box. last: the last box of each cell, counted from 1.
__global__ void __launch_bounds__(kPlaceThreads)
    place_points(CornerTargets targets, int32_t* last) {
  const int64_t number = static_cast<int64_t>(blockIdx.x) * kPlaceThreads + threadIdx.x;
  if (number >= targets.kinds * targets.count) {
    return;
  }
  const int kind = number < targets.count ? 0 : 1;
  const int64_t box = number - kind * targets.count;
  const int64_t label = targets.labels[box];
  const int64_t image = targets.image_index[box];
  DEVICE_ASSERT(
      label >= 0 && label < targets.num_classes && "labels: expected 0 to num_classes - 1");
  DEVICE_ASSERT(image >= 0 && image < targets.batch && "image_index: expected 0 to batch - 1");
  const TargetPoint point = point_of(targets, box, kind);
  targets.cell[kind][box] = point.cell;
  int32_t* at = last + (kind * targets.batch + image) * targets.area() + point.cell;
  atomicMax(at, static_cast<int32_t>(box) + 1);
}

// A block for each keypoint of each box.
__global__ void __launch_bounds__(kDrawThreads)
    draw_points(CornerTargets targets, const int32_t* last) {
  const int kind = static_cast<int>(blockIdx.x) % targets.kinds;
  const int64_t box = blockIdx.x / targets.kinds;
  const int64_t image = targets.image_index[box];
  const int64_t area = targets.area();
  const TargetPoint point = point_of(targets, box, kind);
  const int64_t at = image * area + point.cell;
  if (threadIdx.x == 0 && last[kind * targets.batch * area + at] == box + 1) {
    targets.mask[kind][at] = 1.0F;
    float* offset = targets.offset[kind] + 2 * image * area + point.cell;
    offset[0] = point.offset_x();
    offset[area] = point.offset_y();
  }

  const int64_t radius = gaussian_radius(targets, targets.boxes + 4 * box);
  const float variance = twice_variance(targets, radius);
  const auto gaussian = [&](int64_t distance) {
    const float d = static_cast<float>(distance);
    return std::exp(-(d * d) / variance);
  };
  const int64_t top = max<int64_t>(0, point.y - radius);
  const int64_t bottom = min(targets.height, point.y + radius + 1);
  const int64_t left = max<int64_t>(0, point.x - radius);
  const int64_t right = min(targets.width, point.x + radius + 1);
  const int64_t plane = image * targets.num_classes + targets.labels[box];
  float* heat = targets.heat[kind] + plane * area;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int64_t y = top + threadIdx.x / kWarp; y < bottom; y += kDrawThreads / kWarp) {
    const float factor = gaussian(y - point.y);
    for (int64_t x = left + lane; x < right; x += kWarp) {
      // No value is negative, and such floats are in the order of their bits.
      const float value = factor * gaussian(x - point.x);
      atomicMax(reinterpret_cast<int*>(heat + y * targets.width + x), __float_as_int(value));
    }
  }
}

}  // namespace

cudaError_t launch_corner_targets(
    cudaStream_t stream, const CornerTargets& targets, int32_t* last) {
  if (targets.count >= 1 << 30) {
    return cudaErrorInvalidConfiguration;
  }
  if (targets.count == 0) {
    return cudaSuccess;
  }
  const int64_t place_blocks = ceil_div<int64_t>(targets.kinds * targets.count, kPlaceThreads);
  CUDA_LAUNCH(place_points, place_blocks, kPlaceThreads, stream, targets, last);
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess) {
    return error;
  }
  CUDA_LAUNCH(draw_points, targets.kinds * targets.count, kDrawThreads, stream, targets, last);
  return cudaGetLastError();
}

}  // namespace cornernet::cuda
