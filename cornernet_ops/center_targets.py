"""Centre targets: what a perfect network would put out for the centres of a batch of boxes.

Duan et al., "CenterNet: Keypoint Triplets for Object Detection", ICCV 2019, section 3.1: the centre
of an object is a third keypoint beside its corners, drawn in the same way.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .corner_targets import check_targets, draw_keypoints, empty_keypoints
from .registration import register

Results = tuple[Tensor, Tensor, Tensor, Tensor]


def center_targets(
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
    sigma_divisor: float = 5.0,
) -> Results:
    """Heat-map, offsets, mask and cells of the centres of a batch (CenterNet, section 3.1).

    What `corner_targets` draws for the corners of a box is drawn for the mean of them, with the
    radius of its corners. CenterNet's Gaussians are wider around centres than around corners: their
    `sigma_divisor` is 5. Deterministic. Not differentiable.

    Args:
        boxes, labels, image_index, batch, num_classes, height, width, scale_y, scale_x, overlap,
        radius_formula, sigma_divisor: see `corner_targets`.

    Returns:
        heat: [N, K, h, w] float32 in 0..1.
        offset: [N, 2, h, w] float32: x and y, in cells; 0 where no centre lies.
        mask: [N, 1, h, w] float32: 1 where a centre lies, else 0.
        cell: [M] int64: y * w + x of each centre.

    Raises:
        ValueError, TypeError: as corner_targets.
    """
    sizes = {"batch": batch, "num_classes": num_classes, "height": height, "width": width}
    scales = {"scale_y": scale_y, "scale_x": scale_x}
    gaussians = {"radius_formula": radius_formula, "sigma_divisor": sigma_divisor}
    return _op(boxes, labels, image_index, **sizes, **scales, overlap=overlap, **gaussians)


def _check(a: Any) -> None:
    check_targets("center_targets", a)


def _reference(a: Any) -> Results:
    centers = (a.boxes[:, :2] + a.boxes[:, 2:]) / 2
    return draw_keypoints("center_targets", a, centers)[0]


def _fake(a: Any) -> Results:
    return empty_keypoints(a)


_op, center_targets_reference = register(
    center_targets,
    "center_targets(Tensor boxes, Tensor labels, Tensor image_index, *, int batch, "
    "int num_classes, int height, int width, float scale_y, float scale_x, float overlap, "
    'str radius_formula="2019", float sigma_divisor=5.) -> '
    "(Tensor heat, Tensor offset, Tensor mask, Tensor cell)",
    check=_check,
    reference=_reference,
    fake=_fake,
    autocast_to_float32=True,
)
