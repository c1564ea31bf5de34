// corner_decode on SDAA, the side of torch. The kernel is in corner_decode.scpp.

#include "corner_decode.h"

#include "../common/corner_decode_args.h"
#include "tensors.h"

namespace cornernet::sdaa {
namespace {

CornerDecodeArgs::Result corner_decode(CornerDecodeArgs args) {
  if (args.empty()) {
    return args.results();
  }
  if (!cornernet_sdaa_corner_decode_fits(args.pointers())) {
    return on_cpu(args);
  }
  args.convert();
  for (CornerTensors* kind : {&args.tl, &args.br}) {
    kind->embedding = kind->embedding.contiguous();
    kind->offset = kind->offset.contiguous();
  }
  const CornerDecode task = args.pointers();
  const at::Tensor workspace =
      empty_bytes(args.boxes, cornernet_sdaa_corner_decode_workspace(task));
  cornernet_sdaa_corner_decode(getCurrentSDAAStream(), task, workspace.mutable_data_ptr());
  return args.results();
}

TORCH_LIBRARY_IMPL(cornernet, PrivateUse1, m) {
  implement<CornerDecodeArgs, &corner_decode>(m);
}

}  // namespace
}  // namespace cornernet::sdaa
