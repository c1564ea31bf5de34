// corner_decode on CUDA, the side of torch. The kernels are in corner_decode.cu.

#include "corner_decode.h"

#include "../common/corner_decode_args.h"
#include "tensors.h"

namespace cornernet::cuda {
namespace {

CornerDecodeArgs::Result corner_decode(const CornerDecodeArgs& args) {
  if (args.empty()) {
    return args.results();
  }
  const CornerDecode task = args.pointers();
  if (!corner_decode_fits(task)) {
    return reference(args);
  }
  const at::Tensor workspace = empty_bytes(args.boxes, corner_decode_workspace(task));
  C10_CUDA_CHECK(launch_corner_decode(getCurrentCUDAStream(), task, workspace.mutable_data_ptr()));
  return args.results();
}

TORCH_LIBRARY_IMPL(cornernet, CUDA, m) {
  implement<CornerDecodeArgs, &corner_decode>(m);
}

}  // namespace
}  // namespace cornernet::cuda
