"""From boxes to the maps that the network is trained to put out (section 3.2 of the paper)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cornernet.structures import Targets


def gaussian_radius(height: Tensor, width: Tensor, overlap: float) -> Tensor:
    """How far both corners of a box may move while the boxes still overlap enough.

    Three quadratic equations bound it, for the moved box partly beside, inside and around the
    true one; the smallest positive root counts. The paper gives the idea only (section 3.2); the
    equations are those of the original code after its correction in 2019.

    Args:
        height: box heights in cells, any shape, float64.
        width: box widths.
        overlap: intersection over union that must remain, 0..1.

    Returns:
        The radius in cells.
    """
    total, area = height + width, height * width
    beside = (total - (total**2 - 4 * area * (1 - overlap) / (1 + overlap)).sqrt()) / 2
    inside = (2 * total - (4 * total**2 - 16 * (1 - overlap) * area).sqrt()) / 8
    root = (4 * overlap**2 * total**2 + 16 * overlap * (1 - overlap) * area).sqrt()
    around = (root - 2 * overlap * total) / (8 * overlap)
    return torch.minimum(torch.minimum(beside, inside), around)


def draw_gaussians(heat: Tensor, planes: Tensor, ys: Tensor, xs: Tensor, radii: Tensor) -> Tensor:
    """Draw a Gaussian of radius r and deviation (2r + 1) / 6 around each point, by maximum.

    Args:
        heat: [P, h, w] float32, changed in place.
        planes: [M] int64, the plane of each point.
        ys: [M] int64, its row.
        xs: [M] int64, its column.
        radii: [M] int64, >= 0; the Gaussian is zero farther away in rows or columns.

    Returns:
        `heat`.
    """
    height, width = heat.shape[-2:]
    variance = 2 * ((2 * radii + 1).float() / 6) ** 2

    def profile(centres: Tensor, length: int) -> Tensor:  # [M, length]
        distance = torch.arange(length, device=heat.device) - centres[:, None]
        value = torch.exp(-(distance.float() ** 2) / variance[:, None])
        return value.where(distance.abs() <= radii[:, None], 0.0)

    # A Gaussian is the product of its profiles. Objects are taken one by one and not as one
    # [M, h, w] tensor, because a batch of crowded pictures would need gigabytes for that.
    rows, columns = profile(ys, height), profile(xs, width)
    for plane, y, x, radius, row, column in zip(
        planes.tolist(), ys.tolist(), xs.tolist(), radii.tolist(), rows, columns, strict=True
    ):
        top, bottom = max(0, y - radius), min(height, y + radius + 1)
        left, right = max(0, x - radius), min(width, x + radius + 1)
        window = heat[plane, top:bottom, left:right]
        torch.maximum(window, torch.outer(row[top:bottom], column[left:right]), out=window)
    return heat


def crowd_cells(
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    num_classes: int,
    image_size: tuple[int, int],
    map_size: tuple[int, int],
) -> Tensor | None:
    """Cells of which nobody knows whether a corner of a class lies there: those of its crowds.

    Args:
        boxes: N times [m, 4] float32, x1 y1 x2 y2 in pixels, of regions that hold a crowd.
        labels: N times [m] int64, of what.
        num_classes: K.
        image_size: height and width of the network's input in pixels.
        map_size: height and width of its maps in cells.

    Returns:
        [N, K, h, w] bool, true in every cell that a region of its class touches; None where there
        is no region.
    """
    if not any(len(item) for item in boxes):
        return None
    device, (height, width) = boxes[0].device, map_size
    ignored = torch.zeros(len(boxes), num_classes, height, width, dtype=torch.bool, device=device)
    for image, (regions, classes) in enumerate(zip(boxes, labels, strict=True)):
        for (x1, y1, x2, y2), label in zip(regions.tolist(), classes.tolist(), strict=True):
            left, right = (x * width / image_size[1] for x in (x1, x2))
            top, bottom = (y * height / image_size[0] for y in (y1, y2))
            rows = slice(max(0, math.floor(top)), max(0, math.ceil(bottom)))
            columns = slice(max(0, math.floor(left)), max(0, math.ceil(right)))
            ignored[image, label, rows, columns] = True
    return ignored


def build_targets(
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    num_classes: int,
    image_size: tuple[int, int],
    map_size: tuple[int, int],
    gaussian_iou: float = 0.3,
) -> Targets:
    """Targets of a batch.

    Corners outside the map count as lying in its nearest cell. Where two objects share a corner
    cell, the later one's offset stands.

    Args:
        boxes: N times [n, 4] float32, x1 y1 x2 y2 in pixels.
        labels: N times [n] int64, 0..num_classes-1.
        num_classes: K.
        image_size: height and width of the network's input in pixels.
        map_size: height and width of its maps in cells.
        gaussian_iou: see `gaussian_radius`.
    """
    device = boxes[0].device
    batch, (height, width) = len(boxes), map_size
    image_index = torch.repeat_interleave(
        torch.arange(batch, device=device),
        torch.tensor([len(item) for item in boxes], device=device),
    )
    scale_x, scale_y = width / image_size[1], height / image_size[0]
    box = torch.cat(list(boxes)).float()  # [M, 4]
    label = torch.cat(list(labels))
    scaled = box * box.new_tensor([scale_x, scale_y, scale_x, scale_y])
    limits = torch.tensor([width - 1, height - 1], device=device)
    # On the CPU, because not every accelerator has float64.
    box_size = torch.ceil(scaled[:, 2:] - scaled[:, :2]).cpu().double()  # width, height in cells
    radius = gaussian_radius(box_size[:, 1], box_size[:, 0], gaussian_iou)
    radius = radius.long().clamp_min(0).to(device)

    maps = []
    for corner in (scaled[:, :2], scaled[:, 2:]):
        x, y = torch.minimum(corner.long().clamp_min(0), limits).unbind(1)
        cell = y * width + x
        heat = box.new_zeros(batch * num_classes, height, width)
        draw_gaussians(heat, image_index * num_classes + label, y, x, radius)
        offset = box.new_zeros(batch, 2, height, width)
        mask = box.new_zeros(batch, 1, height, width)
        lost = corner - torch.stack([x, y], 1)
        for image, row, column, value in zip(
            image_index.tolist(), y.tolist(), x.tolist(), lost, strict=True
        ):
            offset[image, :, row, column] = value
        mask[image_index, 0, y, x] = 1.0
        maps.append((heat.view(batch, num_classes, height, width), offset, mask, cell))
    (tl_heat, tl_offset, tl_mask, tl_cell), (br_heat, br_offset, br_mask, br_cell) = maps
    return Targets(
        tl_heat, br_heat, tl_offset, br_offset, tl_mask, br_mask, image_index, tl_cell, br_cell
    )
