"""The ops in plain torch, callable directly: `cornernet_ops.reference.corner_pool(x, "top")`.

Each takes what the public op of its name takes and returns the same; each stands in the file of its
op, with the reason for the way it is written above it.
"""

from .corner_decode import corner_decode_reference as corner_decode
from .corner_peaks import corner_peaks_reference as corner_peaks
from .corner_pool import corner_pool_backward_reference as corner_pool_backward
from .corner_pool import corner_pool_reference as corner_pool
from .corner_pool_pair import corner_pool_pair_backward_reference as corner_pool_pair_backward
from .corner_pool_pair import corner_pool_pair_reference as corner_pool_pair
from .corner_targets import corner_targets_reference as corner_targets
from .soft_nms import soft_nms_reference as soft_nms

__all__ = [
    "corner_decode",
    "corner_peaks",
    "corner_pool",
    "corner_pool_backward",
    "corner_pool_pair",
    "corner_pool_pair_backward",
    "corner_targets",
    "soft_nms",
]
