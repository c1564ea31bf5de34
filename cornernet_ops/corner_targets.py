"""Corner targets: what a perfect network would put out for a batch of boxes.

Law & Deng, "CornerNet: Detecting Objects as Paired Keypoints", ECCV 2018, section 3.2: every corner
is a 1 in its class's heat-map, with a Gaussian around it that excuses near misses; offsets say what
is lost by rounding down to a cell.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .checks import check_at_least, check_device, check_dtype, check_shape
from .formulas import draw_gaussians, gaussian_radius
from .registration import register

# In cells: beyond any map, and small enough for whole numbers.
_LARGEST_RADIUS = 1e9


def corner_targets(
    boxes: Tensor,
    labels: Tensor,
    image_index: Tensor,
    *,
    batch: int,
    num_classes: int,
    height: int,
    width: int,
    scale_y: float,
    scale_x: float,
    overlap: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Heat-maps, offsets, masks and cells of the corners of a batch (CornerNet, section 3.2).

    A corner lies in the cell that its coordinates, times the scale in float32, are rounded down to;
    outside the map it counts as lying in the nearest cell, and a coordinate that is not finite as
    0. Its cell is 1 in the heat-map of its class; around it, at distances (dy, dx) of at most r
    cells in either direction, is exp(-(dy² + dx²) / (2 σ²)) with σ = (2r + 1) / 6, where r is
    the largest whole radius by which both corners may move while the boxes overlap by at least
    `overlap`. Where Gaussians meet, the larger value stands. Where corners share a cell, the last
    box's offset stands. Deterministic. Not differentiable.

    Args:
        boxes: [M, 4] float32: x1, y1, x2, y2 in pixels of the network's input.
        labels: [M] int64: classes, 0..num_classes-1.
        image_index: [M] int64: the picture of each box, 0..batch-1.
        batch: N, the number of pictures.
        num_classes: K.
        height, width: h and w, the size of the maps in cells.
        scale_y, scale_x: cells per pixel.
        overlap: intersection over union, between 0 and 1, that boxes keep within the radius.

    Returns:
        tl_heat, br_heat: [N, K, h, w] float32 in 0..1.
        tl_offset, br_offset: [N, 2, h, w] float32: x and y, in cells; 0 where no corner lies.
        tl_mask, br_mask: [N, 1, h, w] float32: 1 where a corner lies, else 0.
        tl_cell, br_cell: [M] int64: y * w + x of each corner.

    Raises:
        ValueError: shapes or devices that do not go together, a size below 1, a label or image
            index out of range, an overlap outside 0..1. The kernel for CUDA does not wait to see
            the labels and indices: one out of range fails an assertion on the device.
        TypeError: boxes that are not float32, labels or image_index that are not int64.
    """
    return torch.ops.cornernet.corner_targets(
        boxes,
        labels,
        image_index,
        batch=batch,
        num_classes=num_classes,
        height=height,
        width=width,
        scale_y=scale_y,
        scale_x=scale_x,
        overlap=overlap,
    )


def _check(
    boxes: Tensor,
    labels: Tensor,
    image_index: Tensor,
    batch: int,
    num_classes: int,
    height: int,
    width: int,
    overlap: float,
) -> None:
    op = "corner_targets"
    check_shape(op, "boxes", boxes, ["M", 4])
    check_shape(op, "labels", labels, [boxes.shape[0]])
    check_shape(op, "image_index", image_index, [boxes.shape[0]])
    check_dtype(op, "boxes", boxes, torch.float32)
    check_dtype(op, "labels", labels, torch.int64)
    check_dtype(op, "image_index", image_index, torch.int64)
    check_device(op, "labels", labels, boxes.device)
    check_device(op, "image_index", image_index, boxes.device)
    for name, value in (
        ("batch", batch),
        ("num_classes", num_classes),
        ("height", height),
        ("width", width),
    ):
        check_at_least(op, name, value, 1)
    if not 0 < overlap < 1:
        raise ValueError(f"{op}: expected overlap to lie between 0 and 1, got {overlap:g}")


def _check_range(name: str, values: Tensor, limit: int) -> None:
    outside = values[(values < 0) | (values >= limit)]
    if len(outside):
        raise ValueError(
            f"corner_targets: expected {name} to hold numbers from 0 to {limit - 1}, "
            f"got {int(outside[0])}"
        )


# Which corner is the last in its cell is found by the maximum of the boxes' numbers, so that no
# order of execution matters. The few numbers from which radii and errors follow go to the CPU: not
# every accelerator has float64.
def corner_targets_reference(
    boxes: Tensor,
    labels: Tensor,
    image_index: Tensor,
    *,
    batch: int,
    num_classes: int,
    height: int,
    width: int,
    scale_y: float,
    scale_x: float,
    overlap: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    boxes = boxes.detach()
    _check(boxes, labels, image_index, batch, num_classes, height, width, overlap)
    _check_range("labels", labels.cpu(), num_classes)
    _check_range("image_index", image_index.cpu(), batch)
    count, cells = boxes.shape[0], height * width
    scaled = boxes * boxes.new_tensor([scale_x, scale_y, scale_x, scale_y])
    scaled = scaled.where(scaled.isfinite(), 0)
    size = torch.ceil(scaled[:, 2:] - scaled[:, :2]).cpu().double()  # width, height in cells
    radius = gaussian_radius(size[:, 1], size[:, 0], overlap)
    radius = radius.where(radius > 0, 0)  # a negative area has none
    radius = radius.clamp(max=_LARGEST_RADIUS).long().to(boxes.device)
    planes = image_index * num_classes + labels
    numbers = torch.arange(count, device=boxes.device)
    results = []
    for corner in (scaled[:, :2], scaled[:, 2:]):
        x = corner[:, 0].clamp(0, width - 1).long()
        y = corner[:, 1].clamp(0, height - 1).long()
        cell = y * width + x
        heat = boxes.new_zeros(batch * num_classes, height, width)
        draw_gaussians(heat, planes, y, x, radius)
        last = torch.full((batch * cells,), -1, dtype=torch.int64, device=boxes.device)
        if count:
            last.scatter_reduce_(0, image_index * cells + cell, numbers, "amax")
        taken = last >= 0
        lost = corner - torch.stack([x, y], 1)
        offset = boxes.new_zeros(batch * cells, 2)
        if count:
            offset = lost[last.clamp(min=0)].where(taken[:, None], 0)
        results.append(
            (
                heat.view(batch, num_classes, height, width),
                offset.view(batch, cells, 2).transpose(1, 2).reshape(batch, 2, height, width),
                taken.to(boxes.dtype).view(batch, 1, height, width),
                cell,
            )
        )
    (tl_heat, tl_offset, tl_mask, tl_cell), (br_heat, br_offset, br_mask, br_cell) = results
    return tl_heat, br_heat, tl_offset, br_offset, tl_mask, br_mask, tl_cell, br_cell


def _fake(
    boxes: Tensor,
    labels: Tensor,
    image_index: Tensor,
    *,
    batch: int,
    num_classes: int,
    height: int,
    width: int,
    scale_y: float,
    scale_x: float,
    overlap: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    _check(boxes, labels, image_index, batch, num_classes, height, width, overlap)
    maps = [
        boxes.new_empty((batch, channels, height, width))
        for channels in (num_classes, num_classes, 2, 2, 1, 1)
    ]
    tl_heat, br_heat, tl_offset, br_offset, tl_mask, br_mask = maps
    cells = (labels.new_empty((boxes.shape[0],)), labels.new_empty((boxes.shape[0],)))
    return tl_heat, br_heat, tl_offset, br_offset, tl_mask, br_mask, *cells


register(
    "corner_targets(Tensor boxes, Tensor labels, Tensor image_index, *, int batch, "
    "int num_classes, int height, int width, float scale_y, float scale_x, float overlap) -> "
    "(Tensor tl_heat, Tensor br_heat, Tensor tl_offset, Tensor br_offset, Tensor tl_mask, "
    "Tensor br_mask, Tensor tl_cell, Tensor br_cell)",
    reference=corner_targets_reference,
    fake=_fake,
    autocast_to_float32=True,
)
