// The arguments of corner_targets and center_targets: what the launchers of all devices share.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cstdint>
#include <string>
#include <tuple>
#include <utility>

#include "checks.h"
#include "corner_targets.h"
#include "registration.h"
#include "tensors.h"

namespace cornernet {

// The numbers among the arguments.
struct TargetSettings {
  void check(const char* op) const {
    const std::pair<const char*, int64_t> sizes[] = {
        {"batch", batch}, {"num_classes", num_classes}, {"height", height}, {"width", width}};
    for (const auto& [name, value] : sizes) {
      check_at_least(op, name, value, 1);
    }
    TORCH_CHECK_VALUE(
        overlap > 0 && overlap < 1, op, ": expected overlap to lie between 0 and 1, got ", overlap);
    TORCH_CHECK_VALUE(
        radius_formula == "2019" || radius_formula == "2018", op,
        ": expected radius_formula to be \"2019\" or \"2018\", got \"", radius_formula, "\"");
    check_above(op, "sigma_divisor", sigma_divisor, 0);
  }

  int64_t batch;
  int64_t num_classes;
  int64_t height;
  int64_t width;
  double scale_y;
  double scale_x;
  double overlap;
  const std::string& radius_formula;
  double sigma_divisor;
};

// What both ops share. `kinds`: of keypoints, see CornerTargets.
struct TargetTensors {
  TargetTensors(
      const char* op, int kinds, const at::Tensor& given_boxes, const at::Tensor& given_labels,
      const at::Tensor& given_image_index, const TargetSettings& settings)
      : op(op), kinds(kinds), settings(settings) {
    check_shape(op, "boxes", given_boxes, {"M", int64_t{4}});
    check_shape(op, "labels", given_labels, {given_boxes.size(0)});
    check_shape(op, "image_index", given_image_index, {given_boxes.size(0)});
    check_dtype(op, "boxes", given_boxes, at::kFloat);
    check_dtype(op, "labels", given_labels, at::kLong);
    check_dtype(op, "image_index", given_image_index, at::kLong);
    check_device(op, "labels", given_labels, given_boxes.device());
    check_device(op, "image_index", given_image_index, given_boxes.device());
    settings.check(op);
    boxes = given_boxes.contiguous();
    labels = given_labels.contiguous();
    image_index = given_image_index.contiguous();
    const int64_t n = settings.batch;
    const int64_t h = settings.height;
    const int64_t w = settings.width;
    for (int kind = 0; kind < kinds; ++kind) {
      heat[kind] = at::empty({n, settings.num_classes, h, w}, boxes.options());
      offset[kind] = at::empty({n, 2, h, w}, boxes.options());
      mask[kind] = at::empty({n, 1, h, w}, boxes.options());
      cell[kind] = at::empty({boxes.size(0)}, labels.options());
    }
  }

  // Checks labels and image_index, which are on the CPU.
  void check_ranges() const {
    check_range(op, "labels", labels, settings.num_classes);
    check_range(op, "image_index", image_index, settings.batch);
  }
  // Calls body with each of the maps.
  template <typename Body>
  void for_each_map(const Body& body) const {
    for (const at::Tensor* maps : {heat, offset, mask}) {
      for (int kind = 0; kind < kinds; ++kind) {
        body(maps[kind]);
      }
    }
  }
  CornerTargets pointers() const {
    CornerTargets targets{};
    targets.boxes = boxes.const_data_ptr<float>();
    targets.labels = labels.const_data_ptr<int64_t>();
    targets.image_index = image_index.const_data_ptr<int64_t>();
    for (int kind = 0; kind < kinds; ++kind) {
      targets.heat[kind] = heat[kind].mutable_data_ptr<float>();
      targets.offset[kind] = offset[kind].mutable_data_ptr<float>();
      targets.mask[kind] = mask[kind].mutable_data_ptr<float>();
      targets.cell[kind] = cell[kind].mutable_data_ptr<int64_t>();
    }
    targets.count = boxes.size(0);
    targets.batch = settings.batch;
    targets.num_classes = settings.num_classes;
    targets.height = settings.height;
    targets.width = settings.width;
    targets.scale_y = static_cast<float>(settings.scale_y);
    targets.scale_x = static_cast<float>(settings.scale_x);
    targets.overlap = settings.overlap;
    targets.radius_formula =
        settings.radius_formula == "2018" ? RadiusFormula::k2018 : RadiusFormula::k2019;
    targets.sigma_divisor = static_cast<float>(settings.sigma_divisor);
    targets.kinds = kinds;
    return targets;
  }

  const char* op;
  int kinds;
  TargetSettings settings;
  at::Tensor boxes;
  at::Tensor labels;
  at::Tensor image_index;
  // Of each kind of keypoint.
  at::Tensor heat[2];
  at::Tensor offset[2];
  at::Tensor mask[2];
  at::Tensor cell[2];
};

template <typename Result>
using TargetsCall = Call<Result(
    const at::Tensor&, const at::Tensor&, const at::Tensor&, int64_t, int64_t, int64_t, int64_t,
    double, double, double, const std::string&, double)>;

struct CornerTargetsArgs : TargetsCall<std::tuple<
                               at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor,
                               at::Tensor, at::Tensor, at::Tensor>>,
                           TargetTensors {
  static constexpr const char* kOp = "corner_targets";

  template <typename... Numbers>
  CornerTargetsArgs(
      const at::Tensor& boxes, const at::Tensor& labels, const at::Tensor& image_index,
      const Numbers&... numbers)
      : TargetsCall<Result>{{boxes, labels, image_index, numbers...}},
        TargetTensors(kOp, 2, boxes, labels, image_index, {numbers...}) {}

  Result results() const {
    return {heat[0], heat[1], offset[0], offset[1], mask[0], mask[1], cell[0], cell[1]};
  }
};

struct CenterTargetsArgs : TargetsCall<std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor>>,
                           TargetTensors {
  static constexpr const char* kOp = "center_targets";

  template <typename... Numbers>
  CenterTargetsArgs(
      const at::Tensor& boxes, const at::Tensor& labels, const at::Tensor& image_index,
      const Numbers&... numbers)
      : TargetsCall<Result>{{boxes, labels, image_index, numbers...}},
        TargetTensors(kOp, 1, boxes, labels, image_index, {numbers...}) {}

  Result results() const { return {heat[0], offset[0], mask[0], cell[0]}; }
};

}  // namespace cornernet
