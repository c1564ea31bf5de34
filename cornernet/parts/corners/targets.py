"""From boxes to the maps that the network is trained to put out (section 3.2 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cornernet.parts.corners.structures import Targets
from cornernet.parts.targets import draw_targets, fractions, image_index


def build_targets(
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    num_classes: int,
    image_size: tuple[int, int],
    map_size: tuple[int, int],
    gaussian_iou: float = 0.3,
    ignored: Tensor | None = None,
    difficult: tuple[Sequence[Tensor], Sequence[Tensor]] = ((), ()),
    radius_formula: str = "2019",
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
        ignored: see `Targets`.
        difficult: boxes and labels of objects whose corners are not learnt, as `boxes` and
            `labels`; empty where no image has any.
        radius_formula: of the Gaussian's radius; see `cornernet_ops.corner_targets`.
    """

    def draw(boxes: Sequence[Tensor], labels: Sequence[Tensor]) -> tuple[Tensor, ...]:
        joint, index = torch.cat(list(boxes)).float(), image_index(boxes)
        sizes = (num_classes, image_size, map_size, gaussian_iou, radius_formula)
        return draw_targets(joint, labels, index, *sizes)

    joint, index = torch.cat(list(boxes)).float(), image_index(boxes)
    tl_heat, br_heat, tl_offset, br_offset, tl_mask, br_mask, tl_cell, br_cell = draw(boxes, labels)
    maps = (tl_heat, br_heat, tl_offset, br_offset, tl_mask, br_mask)
    lost = (
        fractions(joint[:, :2], tl_cell, image_size, map_size),
        fractions(joint[:, 2:], br_cell, image_size, map_size),
    )
    objects = tuple(len(item) for item in boxes)
    silenced: tuple[Tensor, ...] = ()
    if any(len(item) for item in difficult[0]):
        # A Gaussian is above 0 in the whole square around its corner, and there alone.
        silenced = tuple(heat > 0 for heat in draw(*difficult)[:2])
    return Targets(*maps, index, tl_cell, br_cell, *lost, objects, ignored, *silenced)
