// Argument checks in the words of cornernet_ops/checks.py: one sentence that names the op, the
// argument, what was expected and what was given. They arrive in Python as ValueError and
// TypeError.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <initializer_list>
#include <sstream>
#include <string>

namespace cornernet {

// An expected size: a letter where any is accepted, else a number.
struct Size {
  Size(const char* any) : letter(any), number(0) {}
  Size(int64_t exact) : letter(nullptr), number(exact) {}
  const char* letter;
  int64_t number;
};

inline std::string dtype_name(at::ScalarType type) {
  switch (type) {
    case at::kHalf:
      return "float16";
    case at::kBFloat16:
      return "bfloat16";
    case at::kFloat:
      return "float32";
    case at::kDouble:
      return "float64";
    case at::kByte:
      return "uint8";
    case at::kChar:
      return "int8";
    case at::kShort:
      return "int16";
    case at::kInt:
      return "int32";
    case at::kLong:
      return "int64";
    case at::kBool:
      return "bool";
    case at::kComplexFloat:
      return "complex64";
    case at::kComplexDouble:
      return "complex128";
    default:
      return c10::toString(type);
  }
}

inline void check_shape(
    const char* op, const char* name, const at::Tensor& tensor,
    std::initializer_list<Size> wanted) {
  bool fits = tensor.dim() == static_cast<int64_t>(wanted.size());
  int64_t dim = 0;
  std::ostringstream shape;
  for (const Size& size : wanted) {
    shape << (dim == 0 ? "" : ", ");
    if (size.letter != nullptr) {
      shape << size.letter;
    } else {
      shape << size.number;
      fits = fits && tensor.size(dim) == size.number;
    }
    ++dim;
  }
  TORCH_CHECK_VALUE(
      fits, op, ": expected ", name, " to have shape [", shape.str(), "], got ", tensor.sizes());
}

inline void check_floating(const char* op, const char* name, const at::Tensor& tensor) {
  const at::ScalarType type = tensor.scalar_type();
  TORCH_CHECK_TYPE(
      type == at::kHalf || type == at::kBFloat16 || type == at::kFloat || type == at::kDouble, op,
      ": expected ", name, " to be float16, bfloat16, float32 or float64, got ", dtype_name(type));
}

// Images.
inline void check_pixels(const char* op, const char* name, const at::Tensor& tensor) {
  const at::ScalarType type = tensor.scalar_type();
  TORCH_CHECK_TYPE(
      type == at::kByte || type == at::kHalf || type == at::kBFloat16 || type == at::kFloat, op,
      ": expected ", name, " to be uint8, float16, bfloat16 or float32, got ", dtype_name(type));
}

// A dtype for what is made of images.
inline void check_normalised(const char* op, const char* name, at::ScalarType type) {
  TORCH_CHECK_TYPE(
      type == at::kHalf || type == at::kBFloat16 || type == at::kFloat, op, ": expected ", name,
      " to be float16, bfloat16 or float32, got ", dtype_name(type));
}

inline void check_dtype(
    const char* op, const char* name, const at::Tensor& tensor, at::ScalarType wanted) {
  TORCH_CHECK_TYPE(
      tensor.scalar_type() == wanted, op, ": expected ", name, " to be ", dtype_name(wanted),
      ", got ", dtype_name(tensor.scalar_type()));
}

inline void check_device(
    const char* op, const char* name, const at::Tensor& tensor, at::Device wanted) {
  TORCH_CHECK_VALUE(
      tensor.device() == wanted, op, ": expected ", name, " to be on ", wanted, ", got ",
      tensor.device());
}

inline void check_at_least(const char* op, const char* name, int64_t value, int64_t least) {
  TORCH_CHECK_VALUE(
      value >= least, op, ": expected ", name, " to be at least ", least, ", got ", value);
}

inline void check_above(const char* op, const char* name, double value, int64_t limit) {
  TORCH_CHECK_VALUE(
      value > limit, op, ": expected ", name, " to be above ", limit, ", got ", value);
}

// For tensors on the CPU. Elsewhere a copy to it would wait for the device: on CUDA the kernels
// assert, on SDAA they leave out what is out of range.
inline void check_range(
    const char* op, const char* name, const at::Tensor& numbers, int64_t limit) {
  const int64_t* values = numbers.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < numbers.numel(); ++i) {
    TORCH_CHECK_VALUE(
        values[i] >= 0 && values[i] < limit, op, ": expected ", name, " to hold numbers from 0 to ",
        limit - 1, ", got ", values[i]);
  }
}

}  // namespace cornernet
