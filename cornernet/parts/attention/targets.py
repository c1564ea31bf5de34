"""From boxes to the maps of attention (CornerNet-Lite, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cornernet.parts.attention.structures import AttentionTargets
from cornernet.parts.targets import image_index


def build_targets(
    boxes: Sequence[Tensor],
    stride: int,
    map_size: tuple[int, int],
    object_sizes: Sequence[int],
) -> AttentionTargets:
    """Mark the centre of each object in the map for objects of its size.

    The size of an object is the longer side of its box. An object of exactly a limit between two
    maps is marked in both.

    Args:
        boxes: N times [n, 4] float32, x1 y1 x2 y2 in pixels.
        stride: pixels per cell of the finest map.
        map_size: height and width of the finest map in cells.
        object_sizes: see `ModelConfig.object_sizes`.
    """
    joint, index = torch.cat(list(boxes)).float(), image_index(boxes)
    size = (joint[:, 2:] - joint[:, :2]).amax(1)
    x, y = ((joint[:, :2] + joint[:, 2:]) / 2).unbind(1)
    heats: list[Tensor] = []
    height, width = map_size
    for smallest, largest in zip([0, *object_sizes[:-1]], object_sizes, strict=True):
        # A centre outside the image counts as lying in the nearest cell, as a corner does.
        row = (y / stride).long().clamp(0, height - 1)
        column = (x / stride).long().clamp(0, width - 1)
        marked = ((size >= smallest) & (size <= largest)).float()
        heat = marked.new_zeros(len(boxes) * height * width)
        # Sums of ones are exact in any order, so this is deterministic.
        heat.index_add_(0, (index * height + row) * width + column, marked)
        heats.append(heat.clamp(max=1).view(len(boxes), 1, height, width))
        stride, height, width = stride * 2, -(-height // 2), -(-width // 2)
    return AttentionTargets(tuple(heats[::-1]))
