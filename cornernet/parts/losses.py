"""Losses of heat-maps and offsets, which all kinds of keypoints share (paper, section 3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cornernet.config import LossConfig

# Added to a count of keypoints before it divides, as in MMDetection: float32's epsilon.
COUNT_EPSILON = 1.1920929e-07


def focal_loss(
    logits: Tensor,
    target: Tensor,
    alpha: float = 2.0,
    beta: float = 4.0,
    ignored: Tensor | None = None,
    silenced: Tensor | None = None,
) -> Tensor:
    """The focal variant of equation 1, summed over all cells.

    With p = sigmoid(logits): -(1 - p)^alpha log p where the target is 1, and
    -(1 - target)^beta p^alpha log(1 - p) elsewhere. Formed from log-sigmoids in float32, so that
    value and gradient are right for every finite logit.

    Args:
        logits: [N, K, h, w], any floating dtype.
        target: same shape, 0..1.
        ignored: same shape, bool: where there is no penalty for a probability; None for nowhere.
            Cells whose target is 1 count all the same.
        silenced: same shape, bool: cells that do not count at all, whatever their target; None for
            none.
    """
    logits = logits.float()
    # log p and log(1 - p); powers of p are taken as exponentials of these.
    log_p, log_q = F.logsigmoid(logits), F.logsigmoid(-logits)
    positive = -torch.exp(alpha * log_q) * log_p
    negative = -torch.exp(alpha * log_p) * log_q * (1 - target) ** beta
    if ignored is not None:
        negative = negative.masked_fill(ignored, 0)
    loss = torch.where(target == 1, positive, negative)
    if silenced is not None:
        loss = loss.masked_fill(silenced, 0)
    return loss.sum()


def offset_loss(offset: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Smooth L1 of equation 3, summed over the cells where a keypoint lies and over x and y.

    Args:
        offset: [N, 2, h, w] predicted, in cells.
        target: same shape.
        mask: [N, 1, h, w], 1 where a keypoint lies.
    """
    return (F.smooth_l1_loss(offset.float(), target, reduction="none") * mask).sum()


def object_offset_loss(
    offset: Tensor, image_index: Tensor, cell: Tensor, fraction: Tensor
) -> Tensor:
    """Smooth L1 of equation 3, summed over objects and over x and y.

    Objects whose keypoints share a cell all count, each with its own target.

    Args:
        offset: [N, 2, h, w] predicted, in cells.
        image_index: [M] int64: the image of each object.
        cell: [M] int64: y * w + x of its keypoint.
        fraction: [M, 2]: what x and y of the keypoint lose by rounding down to the cell, in cells.
    """
    predicted = offset.float().flatten(2)[image_index, :, cell]
    return F.smooth_l1_loss(predicted, fraction, reduction="sum")


def loss_scales(config: LossConfig, stacks: int) -> tuple[float, float]:
    """Factors on the heat-map and offset losses of each kind of keypoint, and of each stack.

    As `loss.normalize` says: every kind counts half and every stack fully, or the other way round.
    """
    return (0.5, 1.0) if config.normalize == "mmdet" else (1.0, 1 / stacks)
