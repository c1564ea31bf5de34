// The launchers of corner_pool on the CPU, for the op that is made of two of them.
#pragma once

#include <ATen/core/Tensor.h>

#include "../common/corner_pool_args.h"

namespace cornernet::cpu {

at::Tensor corner_pool(const CornerPoolArgs& args);
at::Tensor corner_pool_backward(const CornerPoolBackwardArgs& args);

}  // namespace cornernet::cpu
