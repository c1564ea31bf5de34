// From a tensor's dtype to the type of its elements.
#pragma once

#include <c10/core/ScalarType.h>

namespace cornernet::cpu {

// Calls body with a null pointer to the element type; for tensors that check_floating accepts.
template <typename Body>
void dispatch(at::ScalarType type, const Body& body) {
  switch (type) {
    case at::kHalf:
      return body(static_cast<c10::Half*>(nullptr));
    case at::kBFloat16:
      return body(static_cast<c10::BFloat16*>(nullptr));
    case at::kDouble:
      return body(static_cast<double*>(nullptr));
    default:
      return body(static_cast<float*>(nullptr));
  }
}

// The same for a computation_dtype.
template <typename Body>
void dispatch_computation(at::ScalarType type, const Body& body) {
  if (type == at::kDouble) {
    body(static_cast<double*>(nullptr));
  } else {
    body(static_cast<float*>(nullptr));
  }
}

}  // namespace cornernet::cpu
