"""From boxes to the maps of centres (CenterNet, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cornernet.parts.centers.structures import CenterTargets
from cornernet_ops import corner_targets


def build_targets(
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    num_classes: int,
    image_size: tuple[int, int],
    map_size: tuple[int, int],
    gaussian_iou: float,
    ignored: Tensor | None = None,
) -> CenterTargets:
    """Targets of a batch: what `cornernet_ops.corner_targets` draws for a corner, at centres.

    Args:
        boxes: N times [n, 4] float32, x1 y1 x2 y2 in pixels.
        labels: N times [n] int64, 0..num_classes-1.
        num_classes: K.
        image_size: height and width of the network's input in pixels.
        map_size: height and width of its maps in cells.
        gaussian_iou: overlap that boxes keep whose corners are moved within the Gaussian's radius,
            which is the radius around centres, too.
        ignored: see `CenterTargets`.
    """
    joint = torch.cat(list(boxes)).float()
    center = (joint[:, :2] + joint[:, 2:]) / 2
    # Boxes of the same sizes, and so of the same radii, with a corner where the centre is.
    moved = torch.cat([center, center + (joint[:, 2:] - joint[:, :2])], 1)
    objects = torch.tensor([len(item) for item in boxes])
    index = torch.repeat_interleave(torch.arange(len(boxes)), objects).to(joint.device)
    maps = corner_targets(
        moved,
        torch.cat(list(labels)),
        index,
        batch=len(boxes),
        num_classes=num_classes,
        height=map_size[0],
        width=map_size[1],
        scale_y=map_size[0] / image_size[0],
        scale_x=map_size[1] / image_size[1],
        overlap=gaussian_iou,
    )
    heat, _, offset, _, mask, *_ = maps
    return CenterTargets(heat, offset, mask, ignored)
