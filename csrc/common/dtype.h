// The dtypes of tensors, for launchers: what lies between torch and the kernels. No torch here.
#pragma once

namespace cornernet {

enum class Dtype { kFloat, kHalf, kBFloat16, kDouble };

}  // namespace cornernet
