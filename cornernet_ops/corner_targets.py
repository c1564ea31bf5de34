"""Corner targets: what a perfect network would put out for a batch of boxes.

Law & Deng, "CornerNet: Detecting Objects as Paired Keypoints", ECCV 2018, section 3.2: every corner
is a 1 in its class's heat-map, with a Gaussian around it that excuses near misses; offsets say what
is lost by rounding down to a cell.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .checks import check_above, check_at_least, check_range, check_tensors
from .formulas import RADIUS_FORMULAS, draw_gaussians, gaussian_radius
from .registration import register

Results = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]

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
    radius_formula: str = "2019",
    sigma_divisor: float = 6.0,
) -> Results:
    """Heat-maps, offsets, masks and cells of the corners of a batch (CornerNet, section 3.2).

    A corner lies in the cell that its coordinates, times the scale in float32, are rounded down to;
    outside the map it counts as lying in the nearest cell, and a coordinate that is not finite as
    0. Its cell is 1 in the heat-map of its class; around it, at distances (dy, dx) of at most r
    cells in either direction, is exp(-(dy² + dx²) / (2 σ²)) with σ = (2r + 1) / sigma_divisor,
    where r is the largest whole radius by which both corners may move while the boxes overlap by
    at least `overlap`. Where Gaussians meet, the larger value stands. Where corners share a cell,
    the last box's offset stands. Deterministic. Not differentiable.

    Args:
        boxes: [M, 4] float32: x1, y1, x2, y2 in pixels of the network's input.
        labels: [M] int64: classes, 0..num_classes-1.
        image_index: [M] int64: the image of each box, 0..batch-1.
        batch: N, the number of images.
        num_classes: K.
        height, width: h and w, the size of the maps in cells.
        scale_y, scale_x: cells per pixel.
        overlap: intersection over union, between 0 and 1, that boxes keep within the radius.
        radius_formula: "2019", or "2018" for the radius of the original code before its correction,
            which is larger; see formulas.gaussian_radius.
        sigma_divisor: above 0; how narrow the Gaussians are within their radius.

    Returns:
        tl_heat, br_heat: [N, K, h, w] float32 in 0..1.
        tl_offset, br_offset: [N, 2, h, w] float32: x and y, in cells; 0 where no corner lies.
        tl_mask, br_mask: [N, 1, h, w] float32: 1 where a corner lies, else 0.
        tl_cell, br_cell: [M] int64: y * w + x of each corner.

    Raises:
        ValueError: shapes or devices that do not go together, a size below 1, a label or image
            index out of range, an overlap outside 0..1, another formula, a divisor that is not
            above 0. The kernels for accelerators do not wait to see labels and indices: one out of
            range fails an assertion on a CUDA device, and its box is left out on SDAA.
        TypeError: boxes that are not float32, labels or image_index that are not int64.
    """
    sizes = {"batch": batch, "num_classes": num_classes, "height": height, "width": width}
    scales = {"scale_y": scale_y, "scale_x": scale_x}
    gaussians = {"radius_formula": radius_formula, "sigma_divisor": sigma_divisor}
    return _op(boxes, labels, image_index, **sizes, **scales, overlap=overlap, **gaussians)


def check_targets(op: str, a: Any) -> None:
    """The arguments of corner_targets and of center_targets."""
    check_tensors(
        op,
        boxes=(a.boxes, "M 4", torch.float32),
        labels=(a.labels, "M", torch.int64),
        image_index=(a.image_index, "M", torch.int64),
    )
    for name in ("batch", "num_classes", "height", "width"):
        check_at_least(op, name, getattr(a, name), 1)
    if not 0 < a.overlap < 1:
        raise ValueError(f"{op}: expected overlap to lie between 0 and 1, got {a.overlap:g}")
    if a.radius_formula not in RADIUS_FORMULAS:
        raise ValueError(
            f'{op}: expected radius_formula to be "2019" or "2018", got "{a.radius_formula}"'
        )
    check_above(op, "sigma_divisor", a.sigma_divisor, 0)


class KeypointMaps(NamedTuple):
    """What is drawn of the keypoints of one kind; see `corner_targets`."""

    heat: Tensor
    offset: Tensor
    mask: Tensor
    cell: Tensor


def draw_keypoints(op: str, a: Any, *kinds: Tensor) -> list[KeypointMaps]:
    """Draw one keypoint of each box for each of the kinds.

    Args:
        op: for messages.
        a: the arguments of corner_targets or of center_targets.
        kinds: of each, [M, 2] float32: x and y of the keypoints in pixels.
    """
    check_range(op, "labels", a.labels, a.num_classes)
    check_range(op, "image_index", a.image_index, a.batch)
    scale = a.boxes.new_tensor([a.scale_x, a.scale_y])

    def in_cells(points: Tensor) -> Tensor:
        scaled = points * scale
        return scaled.where(scaled.isfinite(), 0)

    # The few numbers from which radii follow go to the CPU: not every accelerator has float64.
    width, height = torch.ceil(in_cells(a.boxes[:, 2:]) - in_cells(a.boxes[:, :2])).cpu().double().T
    radius = gaussian_radius(height, width, a.overlap, a.radius_formula)
    radius = radius.where(radius > 0, 0)  # a negative area has none
    radius = radius.clamp(max=_LARGEST_RADIUS).long().to(a.boxes.device)
    return [_draw(a, in_cells(points), radius) for points in kinds]


# Which keypoint is the last in its cell is found by the maximum of the boxes' numbers, so that no
# order of execution matters.
def _draw(a: Any, points: Tensor, radius: Tensor) -> KeypointMaps:
    cells = a.height * a.width
    x = points[:, 0].clamp(0, a.width - 1).long()
    y = points[:, 1].clamp(0, a.height - 1).long()
    cell = y * a.width + x
    heat = a.boxes.new_zeros(a.batch * a.num_classes, a.height, a.width)
    draw_gaussians(heat, a.image_index * a.num_classes + a.labels, y, x, radius, a.sigma_divisor)
    last = torch.full((a.batch * cells,), -1, dtype=torch.int64, device=a.boxes.device)
    offset = a.boxes.new_zeros(a.batch * cells, 2)
    if len(points):
        numbers = torch.arange(len(points), device=a.boxes.device)
        last.scatter_reduce_(0, a.image_index * cells + cell, numbers, "amax")
        lost = points - torch.stack([x, y], 1)
        offset = lost[last.clamp(min=0)].where(last[:, None] >= 0, 0)
    heat = heat.view(a.batch, a.num_classes, a.height, a.width)
    offset = offset.view(a.batch, a.height, a.width, 2).permute(0, 3, 1, 2).contiguous()
    mask = (last >= 0).to(heat.dtype).view(a.batch, 1, a.height, a.width)
    return KeypointMaps(heat, offset, mask, cell)


def empty_keypoints(a: Any) -> KeypointMaps:
    """The same without values, for fake kernels."""
    heat, offset, mask = (
        a.boxes.new_empty((a.batch, planes, a.height, a.width)) for planes in (a.num_classes, 2, 1)
    )
    return KeypointMaps(heat, offset, mask, a.labels.new_empty(a.labels.shape))


def _interleave(tl: KeypointMaps, br: KeypointMaps) -> Results:
    return (
        tl.heat, br.heat, tl.offset, br.offset, tl.mask, br.mask, tl.cell, br.cell
    )  # fmt: skip


def _check(a: Any) -> None:
    check_targets("corner_targets", a)


def _reference(a: Any) -> Results:
    return _interleave(*draw_keypoints("corner_targets", a, a.boxes[:, :2], a.boxes[:, 2:]))


def _fake(a: Any) -> Results:
    return _interleave(empty_keypoints(a), empty_keypoints(a))


_op, corner_targets_reference = register(
    corner_targets,
    "corner_targets(Tensor boxes, Tensor labels, Tensor image_index, *, int batch, "
    "int num_classes, int height, int width, float scale_y, float scale_x, float overlap, "
    'str radius_formula="2019", float sigma_divisor=6.) -> '
    "(Tensor tl_heat, Tensor br_heat, Tensor tl_offset, Tensor br_offset, Tensor tl_mask, "
    "Tensor br_mask, Tensor tl_cell, Tensor br_cell)",
    check=_check,
    reference=_reference,
    fake=_fake,
    autocast_to_float32=True,
)
