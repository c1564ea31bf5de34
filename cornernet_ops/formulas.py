"""The formulas that the references of the targets and of soft_nms compute with.

The kernels' are in csrc/common/corner_targets.h and csrc/common/soft_nms.h.
"""

from __future__ import annotations

import torch
from torch import Tensor

RADIUS_FORMULAS = ("2019", "2018")

# Most elements of the Gaussians that are drawn at a time.
_CHUNK = 1 << 24


def gaussian_radius(height: Tensor, width: Tensor, overlap: float, formula: str = "2019") -> Tensor:
    """How far both corners of a box may move while the boxes still overlap enough.

    Three quadratic equations bound it, for the moved box partly beside, inside and around the
    true one; the smallest positive root counts. The paper gives the idea only (section 3.2); the
    equations are those of the original code, after its correction in 2019 or as they were before:
    divided by 2 instead of by twice the leading coefficient, and with the larger root. Then the
    third is always the smallest, 4 * overlap times what it is since. CenterNet was trained so.

    Args:
        height: box heights in cells, any shape, float64.
        width: box widths.
        overlap: intersection over union that must remain, 0..1.
        formula: one of RADIUS_FORMULAS.

    Returns:
        The radius in cells.
    """
    # In this order of operations: for some sizes the radius is a whole number, which rounding
    # moves to either side, and then the radius that is drawn is MMDetection's only in its order.
    total = height + width
    beside_c = width * height * (1 - overlap) / (1 + overlap)
    beside_root = (total * total - 4 * beside_c).sqrt()
    inside_b, inside_c = 2 * total, (1 - overlap) * width * height
    inside_root = (inside_b * inside_b - 16 * inside_c).sqrt()
    around_a, around_b = 4 * overlap, -2 * overlap * total
    around_c = (overlap - 1) * width * height
    around_root = (around_b * around_b - 4 * around_a * around_c).sqrt()
    if formula == "2019":
        beside, inside = (total - beside_root) / 2, (inside_b - inside_root) / 8
        around = (around_b + around_root) / (2 * around_a)
    else:
        beside, inside = (total + beside_root) / 2, (inside_b + inside_root) / 2
        around = (around_b + around_root) / 2
    return torch.minimum(torch.minimum(beside, inside), around)


def draw_gaussians(
    heat: Tensor,
    planes: Tensor,
    ys: Tensor,
    xs: Tensor,
    radii: Tensor,
    sigma_divisor: float = 6.0,
) -> Tensor:
    """Draw a Gaussian of radius r around each point, by maximum.

    A Gaussian is the product of its profiles along rows and columns. Whole maps of some points at
    a time are joined by a scatter that takes the maximum, so no order of execution matters.

    Args:
        heat: [P, h, w] float32, changed in place.
        planes: [M] int64, the plane of each point.
        ys: [M] int64, its row.
        xs: [M] int64, its column.
        radii: [M] int64, >= 0; the Gaussian is zero farther away in rows or columns.
        sigma_divisor: its standard deviation is (2r + 1) / sigma_divisor.

    Returns:
        `heat`.
    """
    height, width = heat.shape[-2:]
    variance = 2 * ((2 * radii + 1).float() / sigma_divisor) ** 2

    def profile(centres: Tensor, length: int) -> Tensor:  # [M, length]
        distance = torch.arange(length, device=heat.device) - centres[:, None]
        value = torch.exp(-(distance.float() ** 2) / variance[:, None])
        return value.where(distance.abs() <= radii[:, None], 0)

    rows, columns = profile(ys, height), profile(xs, width)
    flat = heat.view(-1, height * width)
    step = max(1, _CHUNK // (height * width))
    for start in range(0, len(planes), step):
        part = slice(start, start + step)
        drawn = (rows[part, :, None] * columns[part, None, :]).flatten(1)
        flat.scatter_reduce_(0, planes[part, None].expand_as(drawn), drawn, "amax")
    return heat


def box_iou(box: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union of boxes [..., 1, 4] with others [..., n, 4].

    0 where both have no area, and where a coordinate is NaN.
    """
    top_left = torch.maximum(box[..., :2], boxes[..., :2])
    bottom_right = torch.minimum(box[..., 2:], boxes[..., 2:])
    sides = (bottom_right - top_left).clamp_min(0)
    intersection = sides[..., 0] * sides[..., 1]

    def area(item: Tensor) -> Tensor:
        return (item[..., 2] - item[..., 0]) * (item[..., 3] - item[..., 1])

    union = area(box) + area(boxes) - intersection
    return torch.where(union > 0, intersection / union, 0)


def suppression_factor(method: str, overlap: Tensor, iou_threshold: float, sigma: float) -> Tensor:
    """The factor for the scores of the boxes that a picked box overlaps; see `soft_nms`."""
    if method == "gaussian":
        return torch.exp(-(overlap * overlap) / sigma)
    if method == "linear":
        return torch.where(overlap >= iou_threshold, 1 - overlap, 1)
    if method == "hard":
        return torch.where(overlap >= iou_threshold, 0.0, 1.0).to(overlap.dtype)
    return torch.ones_like(overlap)
