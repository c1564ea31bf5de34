// The dtypes of tensors between torch and the kernels. No torch here: device code includes this.
#pragma once

#include <cstdint>

namespace cornernet {

enum class Dtype : int32_t { kFloat, kHalf, kBFloat16, kDouble, kByte };

}  // namespace cornernet
