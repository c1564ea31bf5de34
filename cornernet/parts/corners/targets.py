"""From boxes to the maps that the network is trained to put out (section 3.2 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cornernet.parts.corners.structures import Targets
from cornernet_ops import corner_targets


def build_targets(
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    num_classes: int,
    image_size: tuple[int, int],
    map_size: tuple[int, int],
    gaussian_iou: float = 0.3,
) -> Targets:
    """Targets of a batch.

    See `cornernet_ops.corner_targets` for the definition.

    Args:
        boxes: N times [n, 4] float32, x1 y1 x2 y2 in pixels.
        labels: N times [n] int64, 0..num_classes-1.
        num_classes: K.
        image_size: height and width of the network's input in pixels.
        map_size: height and width of its maps in cells.
        gaussian_iou: overlap that boxes keep whose corners are moved within the Gaussian's radius.
    """
    objects = tuple(len(item) for item in boxes)
    index = torch.repeat_interleave(torch.arange(len(boxes)), torch.tensor(objects))
    image_index = index.to(boxes[0].device)
    tl_heat, br_heat, tl_offset, br_offset, tl_mask, br_mask, tl_cell, br_cell = corner_targets(
        torch.cat(list(boxes)).float(),
        torch.cat(list(labels)),
        image_index,
        batch=len(boxes),
        num_classes=num_classes,
        height=map_size[0],
        width=map_size[1],
        scale_y=map_size[0] / image_size[0],
        scale_x=map_size[1] / image_size[1],
        overlap=gaussian_iou,
    )
    maps = (tl_heat, br_heat, tl_offset, br_offset, tl_mask, br_mask)
    return Targets(*maps, image_index, tl_cell, br_cell, objects)
