"""Corner peaks: the best local maxima of the corner heat-maps.

Law & Deng, "CornerNet: Detecting Objects as Paired Keypoints", ECCV 2018, section 4.2: non-maximum
suppression by a 3x3 maximum over each heat-map, then the top 100 corners of all classes.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .checks import FLOATING, check_at_least, check_tensors
from .registration import register


def corner_peaks(
    heat: Tensor, k: int, kernel_size: int = 3, min_scores: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The k best local maxima of each image, over all of its classes (CornerNet, section 4.2).

    A cell is a peak if it equals the maximum of the kernel_size x kernel_size window around it,
    clipped at the border of its own [H, W] map. Every cell of a plateau is a peak. A cell of -inf
    is none, nor is a NaN or any cell with a NaN in its window, nor one below its class's minimum
    score. Peaks are ordered by score, the highest first; equal scores (-0.0 equals 0.0) by index,
    so by class, row and column. Deterministic. Not differentiable: the results need no gradient.

    Args:
        heat: [N, C, H, W], float16, bfloat16, float32 or float64; any of the sizes may be 0.
        k: how many peaks to return for each image, at least 1; may exceed C * H * W.
        kernel_size: the window's side in cells, odd; 1 makes a peak of every cell.
        min_scores: [C], heat's dtype and device: the lowest score of a peak of each class; a NaN
            lets none of its class pass. None stands for no limit.

    Returns:
        scores: [N, k], of heat's dtype. -inf where an image has fewer than k peaks.
        indices: [N, k], int64, class * H * W + y * W + x. -1 where an image has fewer than k peaks.

    Raises:
        ValueError: heat has not 4 dimensions, k < 1, or kernel_size is even or less than 1,
            or min_scores is of another shape or on another device.
        TypeError: heat is not floating, or min_scores is of another dtype.
    """
    return _op(heat, k, kernel_size, min_scores)


def _check(a: Any) -> None:
    op = "corner_peaks"
    check_tensors(
        op,
        heat=(a.heat, "N C H W", FLOATING),
        min_scores=(a.min_scores, "C", a.heat.dtype),
    )
    check_at_least(op, "k", a.k, 1)
    if a.kernel_size < 1 or a.kernel_size % 2 == 0:
        raise ValueError(f"{op}: expected kernel_size to be odd and positive, got {a.kernel_size}")


def _fake(a: Any) -> tuple[Tensor, Tensor]:
    shape = (a.heat.shape[0], a.k)
    return a.heat.new_empty(shape), a.heat.new_empty(shape, dtype=torch.int64)


# A pooled maximum compared with the map itself gives the peaks, NaN rule included, because NaN
# equals nothing. torch.topk leaves open which of equal scores it returns, so a stable sort takes
# its place: slower, but the same on every device.
def _reference(a: Any) -> tuple[Tensor, Tensor]:
    scores, indices = _fake(a)
    scores.fill_(-torch.inf)
    indices.fill_(-1)
    if a.heat.numel() == 0:
        return scores, indices

    highest = F.max_pool2d(a.heat, a.kernel_size, stride=1, padding=a.kernel_size // 2)
    is_peak = highest == a.heat
    if a.min_scores is not None:
        is_peak &= a.heat >= a.min_scores[:, None, None]
    peaks = torch.where(is_peak, a.heat, -torch.inf).flatten(1)
    # Adding zero turns -0.0 into 0.0, which a radix sort would tell apart.
    order = (peaks + 0.0).sort(dim=1, descending=True, stable=True).indices[:, : a.k]
    best = peaks.gather(1, order)
    scores[:, : order.shape[1]] = best
    indices[:, : order.shape[1]] = order.where(best > -torch.inf, -1)
    return scores, indices


_op, corner_peaks_reference = register(
    corner_peaks,
    "corner_peaks(Tensor heat, int k, int kernel_size=3, Tensor? min_scores=None) "
    "-> (Tensor scores, Tensor indices)",
    check=_check,
    reference=_reference,
    fake=_fake,
)
