"""Losses of one device's batch and their gradients, with the originals' normalisation.

The originals add 1e-4 to the counts that divide pull, push and offset, which ours do not.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cornernet.config import LossConfig
from cornernet.parts.attention.losses import attention_counts, attention_losses
from cornernet.parts.attention.structures import AttentionMaps, AttentionTargets
from cornernet.parts.centers.losses import center_counts, center_losses
from cornernet.parts.centers.structures import CenterMaps, CenterTargets
from cornernet.parts.corners.losses import corner_losses
from cornernet.parts.corners.structures import Outputs, Targets
from tests.golden.cases import MAPS, Case

# What the originals' 1e-4 leaves of the push loss of an image with one object, times its weight.
PUSH_OF_ONE = 0.09999


def corner_targets_of(case: Case) -> Targets:
    mask = case.tensor("gt_mask").bool()
    fields: dict[str, Any] = {}
    for corner in ("tl", "br"):
        heat = case.tensor(f"gt_{corner}_heat")
        fields[f"{corner}_heat"] = heat
        fields[f"{corner}_offset"] = torch.zeros(len(heat), 2, *heat.shape[2:])
        fields[f"{corner}_mask"] = torch.zeros(len(heat), 1, *heat.shape[2:])
        fields[f"{corner}_cell"] = case.tensor(f"gt_{corner}_cell")[mask]
        fields[f"{corner}_fraction"] = case.tensor(f"gt_{corner}_off")[mask]
        if f"valid_{corner}" in case:
            fields[f"{corner}_silenced"] = case.tensor(f"valid_{corner}") == 0
    objects = tuple(mask.sum(1).tolist())
    return Targets(image_index=mask.nonzero()[:, 0], objects=objects, **fields)


def center_targets_of(case: Case, corners: Targets) -> CenterTargets:
    mask = case.tensor("gt_mask").bool()
    heat = case.tensor("gt_ct_heat")
    nothing = torch.zeros(len(heat), 2, *heat.shape[2:])
    cell, fraction = case.tensor("gt_ct_cell")[mask], case.tensor("gt_ct_off")[mask]
    return CenterTargets(heat, nothing, nothing[:, :1], corners.image_index, cell, fraction, None)


def losses_of(case: Case, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The package's losses under the names of a golden case."""
    stacks, targets = range(case.meta["stacks"]), corner_targets_of(case)
    config = LossConfig(normalize="original", embedding_batch=len(targets.objects))
    outputs = [Outputs(*(inputs[f"{name}_s{stack}"] for name in MAPS)) for stack in stacks]
    losses = corner_losses(outputs, targets, config)
    if "gt_ct_heat" in case:
        maps = [CenterMaps(inputs[f"ct_heat_s{s}"], inputs[f"ct_off_s{s}"]) for s in stacks]
        centers = center_targets_of(case, targets)
        of_centers = center_losses(maps, centers, config, center_counts(centers))
        losses["focal"] = losses["focal"] + of_centers["center"]
        losses["offset"] = losses["offset"] + of_centers["center_offset"]
    if "gt_att0" in case:
        levels = range(len(case.per_image("gt_att")))
        attention = [
            AttentionMaps(tuple(inputs[f"att{level}_s{stack}"] for level in levels))
            for stack in stacks
        ]
        marked = AttentionTargets(tuple(case.per_image("gt_att")))
        losses |= attention_losses(attention, marked, config, attention_counts(marked))
    return losses


@pytest.mark.family_cases("losses")
def test_losses_and_gradients(case: Case) -> None:
    names = [name for name in case.arrays if name.startswith(case.prefix) and "_s" in name]
    names = [name.removeprefix(case.prefix) for name in names if not name.endswith("_grad")]
    inputs = {name: case.tensor(name).requires_grad_() for name in names}
    losses = losses_of(case, inputs)
    alone = PUSH_OF_ONE * case.meta["objects"].count(1)
    for name, value in losses.items():
        wanted = case.meta[name] - (alone if name == "push" else 0)
        tolerance = 1e-4 if name in ("focal", "attention") else 1e-3
        assert value.item() == pytest.approx(wanted, rel=tolerance, abs=1e-5), name
    total = torch.stack(list(losses.values())).sum()
    assert total.item() == pytest.approx(case.meta["total"] - alone, rel=1e-4)
    total.backward()
    for name, value in inputs.items():
        wanted = case.tensor(name + "_grad")
        tolerance = 0 if "heat" in name or "att" in name else 1e-3
        torch.testing.assert_close(value.grad, wanted, rtol=tolerance, atol=1e-5, msg=name)
