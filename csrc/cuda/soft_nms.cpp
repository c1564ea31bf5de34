// soft_nms on CUDA, the side of torch. The kernel is in soft_nms.cu.

#include "soft_nms.h"

#include <ATen/ops/empty_like.h>

#include "../common/soft_nms_args.h"
#include "tensors.h"

namespace cornernet::cuda {
namespace {

SoftNmsArgs::Result soft_nms(SoftNmsArgs args) {
  if (args.empty()) {
    return args.results();
  }
  args.convert();
  const at::Tensor left = at::empty_like(args.scores);
  const auto run = [&](auto number) {
    using T = decltype(number);
    C10_CUDA_CHECK(
        launch_soft_nms(getCurrentCUDAStream(), args.pointers<T>(), left.mutable_data_ptr<T>()));
  };
  if (args.dtype == at::kDouble) {
    run(double());
  } else {
    run(float());
  }
  return args.results();
}

TORCH_LIBRARY_IMPL(cornernet, CUDA, m) {
  implement<SoftNmsArgs, &soft_nms>(m);
}

}  // namespace
}  // namespace cornernet::cuda
