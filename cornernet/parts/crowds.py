"""Regions annotated as crowds, in which nobody knows where keypoints lie."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def crowd_cells(
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    num_classes: int,
    image_size: tuple[int, int],
    map_size: tuple[int, int],
    device: torch.device | str = "cpu",
) -> Tensor | None:
    """Cells of which nobody knows whether a keypoint of a class lies there: those of its crowds.

    Args:
        boxes: N times [m, 4] float32, x1 y1 x2 y2 in pixels, of regions that hold a crowd; on the
            CPU, since their coordinates are needed here.
        labels: N times [m] int64, of what; on the CPU.
        num_classes: K.
        image_size: height and width of the network's input in pixels.
        map_size: height and width of its maps in cells.
        device: where the result is wanted.

    Returns:
        [N, K, h, w] bool, true in every cell that a region of its class touches; None where there
        is no region.
    """
    if not any(len(item) for item in boxes):
        return None
    height, width = map_size
    ignored = torch.zeros(len(boxes), num_classes, height, width, dtype=torch.bool, device=device)
    for image, (regions, classes) in enumerate(zip(boxes, labels, strict=True)):
        for (x1, y1, x2, y2), label in zip(regions.tolist(), classes.tolist(), strict=True):
            left, right = (x * width / image_size[1] for x in (x1, x2))
            top, bottom = (y * height / image_size[0] for y in (y1, y2))
            rows = slice(max(0, math.floor(top)), max(0, math.ceil(bottom)))
            columns = slice(max(0, math.floor(left)), max(0, math.ceil(right)))
            ignored[image, label, rows, columns] = True
    return ignored
