"""The ops in plain torch, callable directly: `cornernet_ops.reference.corner_pool(x, "top")`.

Each takes what the public op of its name takes and returns the same; each stands in the file of its
op, with the reason for the way it is written above it.
"""

from .center_pool import center_pool_backward_reference as center_pool_backward
from .center_pool import center_pool_reference as center_pool
from .center_targets import center_targets_reference as center_targets
from .corner_decode import corner_decode_reference as corner_decode
from .corner_peaks import corner_peaks_reference as corner_peaks
from .corner_pool import corner_pool_backward_reference as corner_pool_backward
from .corner_pool import corner_pool_reference as corner_pool
from .corner_pool_add import corner_pool_add_reference as corner_pool_add
from .corner_pool_pair import corner_pool_pair_backward_reference as corner_pool_pair_backward
from .corner_pool_pair import corner_pool_pair_reference as corner_pool_pair
from .corner_targets import corner_targets_reference as corner_targets
from .crop_resize import crop_resize_reference as crop_resize
from .soft_nms import soft_nms_reference as soft_nms

__all__ = [
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
    "soft_nms",
]
