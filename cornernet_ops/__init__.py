"""CornerNet's operators as torch custom ops: compiled where they can be, plain torch elsewhere.

    import cornernet_ops
    y = cornernet_ops.corner_pool(x, "top")

`python -m cornernet_ops` tells which implementation runs on which device.
"""

from . import reference
from .center_pool import center_pool, center_pool_backward
from .center_targets import center_targets
from .corner_decode import corner_decode
from .corner_peaks import corner_peaks
from .corner_pool import CornerPool, corner_pool, corner_pool_backward
from .corner_pool_add import corner_pool_add
from .corner_pool_pair import corner_pool_pair, corner_pool_pair_backward
from .corner_targets import corner_targets
from .crop_resize import crop_resize
from .extension import backends
from .soft_nms import soft_nms

__all__ = [
    "CornerPool",
    "backends",
    "center_pool",
    "center_pool_backward",
    "center_targets",
    "corner_decode",
    "corner_peaks",
    "corner_pool",
    "corner_pool_add",
    "corner_pool_backward",
    "corner_pool_pair",
    "corner_pool_pair_backward",
    "corner_targets",
    "crop_resize",
    "reference",
    "soft_nms",
]
