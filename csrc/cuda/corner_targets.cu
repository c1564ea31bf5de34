// corner_targets on CUDA: contract in cornernet_ops/corner_targets.py.
//
// Filling the maps with zeros is nearly all of the work, and torch's; the Gaussians cover few of
// their cells. Where they meet the larger value stands, by an atomic maximum, which no order of
// threads changes. So the last box of a cell is found, too, before its offset is written.

#include "corner_targets.h"

#include "../common/arithmetic.h"
#include "../common/corner_targets.h"
#include "launch.h"

namespace cornernet::cuda {
namespace {

constexpr int kPlaceThreads = 128;
constexpr int kDrawThreads = 128;

// One corner of one box, in cells. kind: 0 top-left, 1 bottom-right.
struct Place {
  __device__ Place(const Targets& targets, int64_t box, int kind) {
    const float* from = targets.boxes + 4 * box + 2 * kind;
    px = scaled_coordinate(from[0], targets.scale_x);
    py = scaled_coordinate(from[1], targets.scale_y);
    x = nearest_cell(px, targets.width);
    y = nearest_cell(py, targets.height);
    cell = y * targets.width + x;
  }

  float px;
  float py;
  int64_t x;
  int64_t y;
  int64_t cell;
};

__device__ int64_t radius_of(const Targets& targets, int64_t box) {
  const Place tl(targets, box, 0);
  const Place br(targets, box, 1);
  return gaussian_radius(
      std::ceil(br.py - tl.py), std::ceil(br.px - tl.px), targets.overlap);
}

// A thread for each corner of each box.
__global__ void __launch_bounds__(kPlaceThreads) place_corners(Targets targets) {
  const int64_t number = static_cast<int64_t>(blockIdx.x) * kPlaceThreads + threadIdx.x;
  if (number >= 2 * targets.count) {
    return;
  }
  const int kind = number < targets.count ? 0 : 1;
  const int64_t box = number - kind * targets.count;
  const int64_t label = targets.labels[box];
  const int64_t image = targets.images[box];
  DEVICE_ASSERT(label >= 0 && label < targets.classes && "labels: expected 0 to num_classes - 1");
  DEVICE_ASSERT(image >= 0 && image < targets.batch && "image_index: expected 0 to batch - 1");
  const Place place(targets, box, kind);
  targets.cell[kind][box] = place.cell;
  const int64_t area = targets.height * targets.width;
  int32_t* last = targets.last + (kind * targets.batch + image) * area + place.cell;
  atomicMax(last, static_cast<int32_t>(box) + 1);
}

// A block for each corner of each box.
__global__ void __launch_bounds__(kDrawThreads) draw_corners(Targets targets) {
  const int kind = static_cast<int>(blockIdx.x) % 2;
  const int64_t box = blockIdx.x / 2;
  const int64_t image = targets.images[box];
  const int64_t area = targets.height * targets.width;
  const Place place(targets, box, kind);
  const int64_t at = image * area + place.cell;
  if (threadIdx.x == 0 && targets.last[kind * targets.batch * area + at] == box + 1) {
    targets.mask[kind][at] = 1.0F;
    float* offset = targets.offset[kind] + 2 * image * area + place.cell;
    offset[0] = place.px - static_cast<float>(place.x);
    offset[area] = place.py - static_cast<float>(place.y);
  }

  const int64_t radius = radius_of(targets, box);
  const float variance = twice_variance(radius);
  const auto gaussian = [&](int64_t distance) {
    const float d = static_cast<float>(distance);
    return std::exp(-(d * d) / variance);
  };
  const int64_t top = max<int64_t>(0, place.y - radius);
  const int64_t bottom = min(targets.height, place.y + radius + 1);
  const int64_t left = max<int64_t>(0, place.x - radius);
  const int64_t right = min(targets.width, place.x + radius + 1);
  float* heat = targets.heat[kind] + (image * targets.classes + targets.labels[box]) * area;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int64_t y = top + threadIdx.x / kWarp; y < bottom; y += kDrawThreads / kWarp) {
    const float factor = gaussian(y - place.y);
    for (int64_t x = left + lane; x < right; x += kWarp) {
      // No value is negative, and such floats are in the order of their bits.
      const float value = factor * gaussian(x - place.x);
      atomicMax(reinterpret_cast<int*>(heat + y * targets.width + x), __float_as_int(value));
    }
  }
}

}  // namespace

cudaError_t corner_targets_cuda(cudaStream_t stream, const Targets& targets) {
  if (targets.count >= 1 << 30) {
    return cudaErrorInvalidConfiguration;
  }
  if (targets.count == 0) {
    return cudaSuccess;
  }
  const int64_t place_blocks = ceil_div<int64_t>(2 * targets.count, kPlaceThreads);
  CUDA_LAUNCH(place_corners, place_blocks, kPlaceThreads, stream, targets);
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess) {
    return error;
  }
  CUDA_LAUNCH(draw_corners, 2 * targets.count, kDrawThreads, stream, targets);
  return cudaGetLastError();
}

}  // namespace cornernet::cuda
