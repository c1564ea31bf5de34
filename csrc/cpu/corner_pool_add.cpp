// corner_pool_add on the CPU: contract in cornernet_ops/corner_pool_add.py. The scans of
// corner_pool have an addend, so its launcher is in corner_pool.cpp.

#include <torch/library.h>

#include "../common/corner_pool_add_args.h"
#include "corner_pool.h"

namespace cornernet::cpu {

TORCH_LIBRARY_IMPL(cornernet, CPU, m) {
  implement<CornerPoolAddArgs, &corner_pool_add>(m);
}

}  // namespace cornernet::cpu
