"""The losses of centres: those of corners' heat-maps and offsets (CenterNet, section 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor

from cornernet.config import LossConfig
from cornernet.parts.centers.structures import CenterMaps, CenterTargets
from cornernet.parts.losses import (
    COUNT_EPSILON,
    focal_loss,
    loss_scales,
    object_offset_loss,
    offset_loss,
)


def center_counts(targets: CenterTargets) -> Tensor:
    """[3] float32: cells with a centre, per class and of any class, and objects."""
    objects = torch.tensor(float(len(targets.cell))).to(targets.heat.device)
    return torch.stack([(targets.heat == 1).sum().float(), targets.mask.sum(), objects])


def center_losses(
    outputs: list[CenterMaps],
    targets: CenterTargets,
    config: LossConfig,
    counts: Tensor,
    processes: int = 1,
) -> dict[str, Tensor]:
    """The losses of a batch, over stacks as `loss.normalize` says.

    Args:
        outputs: maps of each stack.
        targets: of the batch.
        config: weights and exponents.
        counts: `center_counts` summed over all processes.
        processes: over which gradients will be averaged; see `Part.losses`.

    Returns:
        center and center_offset; scalars with weights applied.
    """
    per_class, per_cell, per_object = (counts.clamp_min(1) + COUNT_EPSILON).unbind()
    by_object = config.normalize == "original"
    per_center, per_stack = loss_scales(config, len(outputs))
    heat = torch.stack(
        [
            focal_loss(
                maps.heat,
                targets.heat,
                config.focal_alpha,
                config.focal_beta,
                targets.ignored,
                targets.silenced,
            )
            for maps in outputs
        ]
    )
    offset = torch.stack(
        [
            object_offset_loss(maps.offset, targets.image_index, targets.cell, targets.fraction)
            if by_object
            else offset_loss(maps.offset, targets.offset, targets.mask)
            for maps in outputs
        ]
    )
    scale = per_center * per_stack * processes
    return {
        "center": heat.sum() / per_class * (config.center_weight * scale),
        "center_offset": offset.sum()
        / (per_object if by_object else per_cell)
        * (config.offset_weight * scale),
    }
