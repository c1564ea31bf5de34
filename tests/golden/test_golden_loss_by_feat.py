"""All losses together, over stacks and pictures, from boxes and maps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cornernet.config import LossConfig
from cornernet.parts.corners.losses import corner_losses
from cornernet.parts.corners.structures import Outputs
from cornernet.parts.corners.targets import build_targets
from tests.golden.cases import Case

NAMES = {"focal": "det", "offset": "off", "pull": "pull", "push": "push"}


def losses_of(case: Case, outputs: list[Outputs]) -> dict[str, Tensor]:
    boxes, labels = case.per_image("boxes"), case.per_image("labels")
    meta = case.meta
    targets = build_targets(
        boxes, labels, meta["num_classes"], tuple(meta["batch_input_shape"]), tuple(meta["feat"])
    )
    # The reference sums pull and push over pictures.
    return corner_losses(outputs, targets, LossConfig(embedding_batch=len(boxes)))


@pytest.mark.golden_cases("loss_by_feat", "cases", "{name}_")
def test_each_loss_of_each_stack(case: Case) -> None:
    for level in range(case.meta["levels"]):
        losses = losses_of(case, [case.outputs(after=f"_l{level}")])
        for ours, theirs in NAMES.items():
            wanted = case.tensor(f"{theirs}_loss")[level]
            found = losses[ours].detach()
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6, msg=f"{ours} {level}")


@pytest.mark.golden_cases("loss_by_feat", "cases", "{name}_")
def test_total_and_its_gradient(case: Case) -> None:
    outputs = [case.outputs(after=f"_l{level}") for level in range(case.meta["levels"])]
    total = torch.stack(list(losses_of(case, outputs).values())).sum()
    total.backward()
    torch.testing.assert_close(total.detach(), case.tensor("total"), rtol=1e-4, atol=0)
    for level, maps in enumerate(outputs):
        for found, name in zip(
            maps, ("tl_heat", "br_heat", "tl_emb", "br_emb", "tl_off", "br_off"), strict=True
        ):
            wanted = case.tensor(f"{name}_l{level}_grad")
            torch.testing.assert_close(found.grad, wanted, rtol=0, atol=1e-5)
