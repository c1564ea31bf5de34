// The launchers of corner_pool.cpp, for the ops that are made of them.
#pragma once

#include <ATen/core/Tensor.h>

#include "../common/corner_pool_add_args.h"
#include "../common/corner_pool_args.h"

namespace cornernet::cpu {

at::Tensor corner_pool(const CornerPoolArgs& args);
at::Tensor corner_pool_add(const CornerPoolAddArgs& args);
at::Tensor corner_pool_backward(const CornerPoolBackwardArgs& args);

}  // namespace cornernet::cpu
