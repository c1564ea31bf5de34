"""Drawing a batch's targets, which all kinds of keypoints share (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cornernet_ops import center_targets, corner_targets


def image_index(boxes: Sequence[Tensor]) -> Tensor:
    """[M] int64 on the boxes' device: the image, 0..N-1, of each of the M boxes of N images."""
    counts = torch.tensor([len(item) for item in boxes])
    return torch.repeat_interleave(torch.arange(len(boxes)), counts).to(boxes[0].device)


def fractions(
    points: Tensor, cell: Tensor, image_size: tuple[int, int], map_size: tuple[int, int]
) -> Tensor:
    """What each keypoint loses by rounding down to its cell: [M, 2] float32, x and y in cells.

    Args:
        points: [M, 2] float32, x and y in pixels.
        cell: [M] int64: y * w + x of the cells.
        image_size: height and width of the network's input in pixels.
        map_size: height and width of its maps in cells.
    """
    width = map_size[1]
    scale = points.new_tensor([width / image_size[1], map_size[0] / image_size[0]])
    return points * scale - torch.stack([cell % width, cell // width], 1)


def draw_targets(
    boxes: Tensor,
    labels: Sequence[Tensor],
    index: Tensor,
    num_classes: int,
    image_size: tuple[int, int],
    map_size: tuple[int, int],
    gaussian_iou: float,
    radius_formula: str = "2019",
) -> tuple[Tensor, ...]:
    """The maps that `cornernet_ops.corner_targets` returns, drawn for the boxes of a batch.

    Args:
        boxes: [M, 4] float32, x1 y1 x2 y2 in pixels, of all images.
        labels: N times [m] int64, 0..num_classes-1, M in all.
        index: see `image_index`.
        num_classes: K.
        image_size: height and width of the network's input in pixels.
        map_size: height and width of its maps in cells.
        gaussian_iou: overlap that boxes keep whose corners are moved within the Gaussian's radius.
        radius_formula: of that radius; see `cornernet_ops.corner_targets`.
    """
    numbers = _numbers(num_classes, image_size, map_size, gaussian_iou, radius_formula)
    return corner_targets(boxes, torch.cat(list(labels)), index, batch=len(labels), **numbers)


def draw_center_targets(
    boxes: Tensor,
    labels: Sequence[Tensor],
    index: Tensor,
    num_classes: int,
    image_size: tuple[int, int],
    map_size: tuple[int, int],
    gaussian_iou: float,
    radius_formula: str = "2019",
    sigma_divisor: float = 6.0,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What `cornernet_ops.center_targets` returns, drawn for the boxes of a batch.

    Args: see `draw_targets`; `sigma_divisor` says how narrow the Gaussians are.
    """
    numbers = _numbers(num_classes, image_size, map_size, gaussian_iou, radius_formula)
    return center_targets(
        boxes, torch.cat(list(labels)), index, batch=len(labels), sigma_divisor=sigma_divisor,
        **numbers,
    )  # fmt: skip


def _numbers(
    num_classes: int,
    image_size: tuple[int, int],
    map_size: tuple[int, int],
    gaussian_iou: float,
    radius_formula: str,
) -> dict[str, Any]:
    return {
        "num_classes": num_classes,
        "height": map_size[0],
        "width": map_size[1],
        "scale_y": map_size[0] / image_size[0],
        "scale_x": map_size[1] / image_size[1],
        "overlap": gaussian_iou,
        "radius_formula": radius_formula,
    }
