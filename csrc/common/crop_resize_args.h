// The arguments of crop_resize: what the launchers of all devices share.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cstdint>
#include <optional>
#include <utility>

#include "checks.h"
#include "crop_resize.h"
#include "registration.h"
#include "tensors.h"

namespace cornernet {

struct CropResizeArgs
    : Call<at::Tensor(
          const at::Tensor&, const at::Tensor&, const at::Tensor&, int64_t, int64_t,
          const std::optional<at::Tensor>&, const std::optional<at::Tensor>&,
          const std::optional<at::Tensor>&, std::optional<at::ScalarType>)> {
  static constexpr const char* kOp = "crop_resize";

  CropResizeArgs(
      const at::Tensor& given_images, const at::Tensor& given_sources,
      const at::Tensor& given_targets, int64_t height, int64_t width,
      const std::optional<at::Tensor>& given_index, const std::optional<at::Tensor>& given_mean,
      const std::optional<at::Tensor>& given_std, std::optional<at::ScalarType> dtype)
      : Call{
            {given_images, given_sources, given_targets, height, width, given_index, given_mean,
             given_std, dtype}} {
    if (given_index.has_value()) {
      check_shape(kOp, "images", given_images, {"N", "C", "H", "W"});
    } else {
      check_shape(kOp, "images", given_images, {int64_t{1}, "C", "H", "W"});
    }
    check_windows(given_sources, given_targets, given_images.device());
    check_pixels(kOp, "images", given_images);
    const int64_t channels = given_images.size(1);
    index = contiguous("image_index", given_index, given_sources.size(0), at::kLong);
    mean = contiguous("mean", given_mean, channels, at::kFloat);
    std = contiguous("std", given_std, channels, at::kFloat);
    check_at_least(kOp, "height", height, 1);
    check_at_least(kOp, "width", width, 1);
    if (dtype.has_value()) {
      check_normalised(kOp, "dtype", *dtype);
    }
    images = given_images;
    sources = given_sources.contiguous();
    targets = given_targets.contiguous();
    canvas = at::empty(
        {sources.size(0), channels, height, width},
        images.options().dtype(dtype.value_or(at::kFloat)));
  }

  // Checks image_index, which is on the CPU.
  void check_ranges() const {
    if (index.defined()) {
      check_range(kOp, "image_index", index, images.size(0));
    }
  }
  CropResize pointers() const {
    CropResize task{};
    task.images = images.const_data_ptr();
    task.image_dtype = dtype_of(images);
    for (int dim = 0; dim < 4; ++dim) {
      task.strides[dim] = images.stride(dim);
    }
    task.images_count = images.size(0);
    task.channels = images.size(1);
    task.image_height = images.size(2);
    task.image_width = images.size(3);
    task.sources = sources.const_data_ptr<int64_t>();
    task.targets = targets.const_data_ptr<int64_t>();
    task.image_index = index.defined() ? index.const_data_ptr<int64_t>() : nullptr;
    task.mean = mean.defined() ? mean.const_data_ptr<float>() : nullptr;
    task.std = std.defined() ? std.const_data_ptr<float>() : nullptr;
    task.canvas = canvas.mutable_data_ptr();
    task.canvas_dtype = dtype_of(canvas);
    task.count = canvas.size(0);
    task.height = canvas.size(2);
    task.width = canvas.size(3);
    return task;
  }

  at::Tensor images;
  at::Tensor sources;
  at::Tensor targets;
  at::Tensor index;  // undefined if there is none, as those that follow
  at::Tensor mean;
  at::Tensor std;
  at::Tensor canvas;

 private:
  static void check_windows(
      const at::Tensor& sources, const at::Tensor& targets, at::Device device) {
    check_shape(kOp, "sources", sources, {"R", int64_t{4}});
    check_shape(kOp, "targets", targets, {sources.size(0), int64_t{4}});
    for (const auto& [name, tensor] :
         {std::pair<const char*, const at::Tensor&>{"sources", sources}, {"targets", targets}}) {
      check_dtype(kOp, name, tensor, at::kLong);
      check_device(kOp, name, tensor, device);
    }
  }
  at::Tensor contiguous(
      const char* name, const std::optional<at::Tensor>& tensor, int64_t size,
      at::ScalarType dtype) const {
    if (!tensor.has_value()) {
      return at::Tensor();
    }
    check_shape(kOp, name, *tensor, {size});
    check_dtype(kOp, name, *tensor, dtype);
    check_device(kOp, name, *tensor, std::get<0>(given).device());
    return tensor->contiguous();
  }
};

}  // namespace cornernet
