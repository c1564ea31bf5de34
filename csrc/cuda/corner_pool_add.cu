// corner_pool_add on CUDA: contract in cornernet_ops/corner_pool_add.py. The scans are corner_pool's,
// with an addend.

#include "corner_pool_add.h"

#include "scan.h"

namespace cornernet::cuda {

cudaError_t launch_corner_pool_add(cudaStream_t stream, const CornerPoolAdd& task) {
  return pool<true>(stream, task.pool, task.addend);
}

}  // namespace cornernet::cuda
