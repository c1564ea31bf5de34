"""The training losses (sections 3.2 and 3.3 of the paper).

Every loss is a sum together with what to divide it by, because a batch that is spread over several
processes has to be divided by the counts of the whole batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cornernet.config import LossConfig
from cornernet.parts.corners.structures import Outputs, Targets
from cornernet.parts.losses import (
    COUNT_EPSILON,
    focal_loss,
    loss_scales,
    object_offset_loss,
    offset_loss,
)


def embedding_losses(
    tl_embedding: Tensor, br_embedding: Tensor, targets: Targets
) -> tuple[Tensor, Tensor]:
    """Pull and push (equations 4 and 5): means over an image's objects, summed over images.

    The distance between the mean embeddings of two objects is Euclidean over channels.

    Args:
        tl_embedding: [N, E, h, w].
        br_embedding: [N, E, h, w].
        targets: which objects lie where.

    Returns:
        pull, push: scalars.
    """
    image, device = targets.image_index, tl_embedding.device

    def at(embedding: Tensor, cell: Tensor) -> Tensor:  # [M, E]
        return embedding.float().flatten(2)[image, :, cell]

    top_left, bottom_right = at(tl_embedding, targets.tl_cell), at(br_embedding, targets.br_cell)
    mean = (top_left + bottom_right) / 2
    objects = torch.tensor(targets.objects, dtype=torch.float32).to(device)
    per_object = objects[image]  # how many objects the image of each object holds
    pull = ((top_left - mean) ** 2 + (bottom_right - mean) ** 2).sum(1) / per_object

    # Differences between the objects of one image at a time keep memory at sum of n², not M².
    push = tl_embedding.new_zeros((), dtype=torch.float32)
    for means in mean.split(targets.objects):
        count = len(means)
        if count > 1:
            distance = torch.linalg.vector_norm(means[:, None] - means[None, :], dim=2)
            others = ~torch.eye(count, dtype=torch.bool, device=device)
            push = push + (F.relu(1 - distance) * others).sum() / (count * (count - 1))
    return pull.sum(), push


def corner_counts(targets: Targets) -> Tensor:
    """[6] float32: cells with a corner (per class: tl, br; any: tl, br), images and objects."""
    images, objects = targets.tl_heat.shape[0], sum(targets.objects)
    on_host = torch.tensor([images, objects], dtype=torch.float32)
    in_cells = torch.stack(
        [
            (targets.tl_heat == 1).sum().float(),
            (targets.br_heat == 1).sum().float(),
            targets.tl_mask.sum(),
            targets.br_mask.sum(),
        ]
    )
    return torch.cat([in_cells, on_host.to(in_cells.device)])


def _offset_loss(maps: Outputs, targets: Targets, config: LossConfig, counts: Tensor) -> Tensor:
    """The offset losses of both kinds of corners, over what `loss.normalize` divides them by."""
    if config.normalize == "original":
        image = targets.image_index
        both = object_offset_loss(
            maps.tl_offset, image, targets.tl_cell, targets.tl_fraction
        ) + object_offset_loss(maps.br_offset, image, targets.br_cell, targets.br_fraction)
        return both / counts[5].clamp_min(1)
    tl_any, br_any = (counts[2:4].clamp_min(1) + COUNT_EPSILON).unbind()
    return (
        offset_loss(maps.tl_offset, targets.tl_offset, targets.tl_mask) / tl_any
        + offset_loss(maps.br_offset, targets.br_offset, targets.br_mask) / br_any
    )


def corner_losses(
    outputs: list[Outputs],
    targets: Targets,
    config: LossConfig,
    counts: Tensor | None = None,
    processes: int = 1,
) -> dict[str, Tensor]:
    """The losses of a batch, over stacks as `loss.normalize` says.

    Args:
        outputs: maps of each stack.
        targets: of the batch.
        config: weights and exponents.
        counts: `corner_counts` summed over all processes; by default those of this batch.
        processes: over which gradients will be averaged. This process's share of the losses is
            multiplied by it, so that the average is the gradient of the joint batch.

    Returns:
        focal, pull, push and offset; scalars with weights applied.
    """
    counts = corner_counts(targets) if counts is None else counts
    tl_class, br_class = (counts[:2].clamp_min(1) + COUNT_EPSILON).unbind()
    images = counts[4]
    per_corner, per_stack = loss_scales(config, len(outputs))
    per_image = 1.0 if config.normalize == "paper" else config.embedding_batch
    embedding_scale = per_image / images
    shape = (config.focal_alpha, config.focal_beta, targets.ignored)
    focal, pull, push, offset = [], [], [], []
    for maps in outputs:
        heat = (
            focal_loss(maps.tl_heat, targets.tl_heat, *shape, targets.tl_silenced) / tl_class
            + focal_loss(maps.br_heat, targets.br_heat, *shape, targets.br_silenced) / br_class
        )
        focal.append(heat * per_corner)
        pulled, pushed = embedding_losses(maps.tl_embedding, maps.br_embedding, targets)
        pull.append(pulled * config.pull_weight * embedding_scale)
        push.append(pushed * config.push_weight * embedding_scale)
        moved = _offset_loss(maps, targets, config, counts)
        offset.append(moved * per_corner * config.offset_weight)
    return {
        name: torch.stack(values).sum() * (per_stack * processes)
        for name, values in (("focal", focal), ("pull", pull), ("push", push), ("offset", offset))
    }
