"""The loss of attention: the focal loss of each map (CornerNet-Lite, section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from cornernet.config import LossConfig
from cornernet.parts.attention.structures import AttentionMaps, AttentionTargets
from cornernet.parts.losses import COUNT_EPSILON, focal_loss, loss_scales


def attention_counts(targets: AttentionTargets) -> Tensor:
    """[J] float32: the marked cells of each map."""
    return torch.stack([heat.sum() for heat in targets.heats])


def attention_losses(
    outputs: list[AttentionMaps],
    targets: AttentionTargets,
    config: LossConfig,
    counts: Tensor,
    processes: int = 1,
) -> dict[str, Tensor]:
    """The loss of a batch: the sum over maps of the mean over stacks.

    As in the original, that mean is weighted like one stack of the other losses; see
    `loss.normalize`.

    Args:
        outputs: maps of each stack.
        targets: of the batch.
        config: weight and exponents.
        counts: `attention_counts` summed over all processes.
        processes: over which gradients will be averaged; see `Part.losses`.

    Returns:
        attention; a scalar with its weight applied.
    """
    _, per_stack = loss_scales(config, len(outputs))
    per_map = counts.clamp_min(1) + COUNT_EPSILON
    heat = torch.stack(
        [
            torch.stack(
                [
                    focal_loss(logits, target, config.focal_alpha, config.focal_beta)
                    for logits, target in zip(maps.heats, targets.heats, strict=True)
                ]
            )
            for maps in outputs
        ]
    )
    mean = (heat / per_map).sum() / len(outputs)
    return {"attention": mean * (config.attention_weight * per_stack * processes)}
