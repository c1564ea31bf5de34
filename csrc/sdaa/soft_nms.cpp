// soft_nms on SDAA, the side of torch. The kernel is in soft_nms.scpp.

#include "soft_nms.h"

#include "../common/soft_nms_args.h"
#include "tensors.h"

namespace cornernet::sdaa {
namespace {

SoftNmsArgs::Result soft_nms(SoftNmsArgs args) {
  if (args.dtype == at::kDouble || !cornernet_sdaa_soft_nms_fits(args.boxes.size(1))) {
    return on_cpu(args);
  }
  if (!args.empty()) {
    args.convert();
    cornernet_sdaa_soft_nms(getCurrentSDAAStream(), args.pointers<float>());
  }
  return args.results();
}

TORCH_LIBRARY_IMPL(cornernet, PrivateUse1, m) {
  implement<SoftNmsArgs, &soft_nms>(m);
}

}  // namespace
}  // namespace cornernet::sdaa
