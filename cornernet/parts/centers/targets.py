"""From boxes to the maps of centres (CenterNet, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cornernet.parts.centers.structures import CenterTargets
from cornernet.parts.targets import draw_center_targets, fractions, image_index


def build_targets(
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    num_classes: int,
    image_size: tuple[int, int],
    map_size: tuple[int, int],
    gaussian_iou: float,
    ignored: Tensor | None = None,
    difficult: tuple[Sequence[Tensor], Sequence[Tensor]] = ((), ()),
    radius_formula: str = "2019",
    sigma_divisor: float = 6.0,
) -> CenterTargets:
    """Targets of a batch; see `cornernet_ops.center_targets` for the definition.

    Args:
        boxes: N times [n, 4] float32, x1 y1 x2 y2 in pixels.
        labels: N times [n] int64, 0..num_classes-1.
        num_classes: K.
        image_size: height and width of the network's input in pixels.
        map_size: height and width of its maps in cells.
        gaussian_iou: overlap that boxes keep whose corners are moved within the Gaussian's radius,
            which is the radius around centres, too.
        ignored: see `CenterTargets`.
        difficult: boxes and labels of objects whose centres are not learnt, as `boxes` and
            `labels`; empty where no image has any.
        radius_formula: of that radius; see `cornernet_ops.corner_targets`.
        sigma_divisor: how narrow the Gaussians are within it; see there.
    """

    def draw(joint: Tensor, labels: Sequence[Tensor], index: Tensor) -> tuple[Tensor, ...]:
        sizes = (num_classes, image_size, map_size, gaussian_iou)
        return draw_center_targets(joint, labels, index, *sizes, radius_formula, sigma_divisor)

    joint, index = torch.cat(list(boxes)).float(), image_index(boxes)
    heat, offset, mask, cell = draw(joint, labels, index)
    lost = fractions((joint[:, :2] + joint[:, 2:]) / 2, cell, image_size, map_size)
    silenced = None
    if any(len(item) for item in difficult[0]):
        others = difficult[0]
        # A Gaussian is above 0 in the whole square around its centre, and there alone.
        silenced = draw(torch.cat(list(others)).float(), difficult[1], image_index(others))[0] > 0
    return CenterTargets(heat, offset, mask, index, cell, lost, ignored, silenced)
