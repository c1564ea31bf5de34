"""Targets of CenterNet and CornerNet-Squeeze, through the network and its recipe."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cornernet.config import load_recipe
from cornernet.model.detector import Detector
from cornernet.parts.centers.structures import CenterTargets
from cornernet.parts.corners.structures import Targets
from cornernet.structures import Batch
from tests.golden.cases import Case

RECIPES = {"center": "centernet52", "squeeze": "cornernet_squeeze"}
# Of each image, the slots that the file holds.
SLOTS = 12


def objects_of(case: Case) -> tuple[list[Tensor], list[Tensor]]:
    """Boxes clipped as the originals clip them, and labels, of each image."""
    whole = Case(case.arrays, case.meta)
    limit = case.meta["image"] - 1
    boxes = [boxes.clamp(0, limit) for boxes in whole.per_image("boxes")]
    kept = [(b[:, 2] > b[:, 0]) & (b[:, 3] > b[:, 1]) for b in boxes]
    labels = whole.per_image("labels")
    return (
        [item[mask] for item, mask in zip(boxes, kept, strict=True)],
        [item[mask] for item, mask in zip(labels, kept, strict=True)],
    )


def targets_of(case: Case) -> tuple[Targets, CenterTargets | None]:
    """What the recipe's network is trained to put out."""
    config = load_recipe(RECIPES[case.meta["name"]])
    boxes, labels = objects_of(case)
    side = case.meta["image"]
    images = torch.empty(len(boxes), 3, side, side, dtype=torch.uint8)
    with torch.device("meta"):
        model = Detector(config.model, case.meta["classes"])
    assert model.map_size((side, side)) == (case.meta["map"],) * 2
    batch = Batch(images, boxes, labels, [""] * len(boxes))
    corners, *others = model.targets(batch, config.loss)
    return corners, others[0] if others else None


def assert_objects(case: Case, point: str, index: Tensor, cell: Tensor, fraction: Tensor) -> None:
    """Cells and fractions of each image's objects, in their order."""
    masks = case.tensor("mask").bool()
    cells, offsets = case.tensor(f"{point}_cell"), case.tensor(f"{point}_off")
    for image, mask in enumerate(masks):
        mine = (index == image).nonzero()[:SLOTS, 0]
        assert len(mine) == int(mask.sum())
        assert torch.equal(cell[mine], cells[image][mask])
        torch.testing.assert_close(fraction[mine], offsets[image][mask], rtol=0, atol=1e-4)


@pytest.mark.family_cases("targets")
def test_corners(case: Case) -> None:
    found, _ = targets_of(case)
    for corner in ("tl", "br"):
        heat = getattr(found, f"{corner}_heat")
        torch.testing.assert_close(heat, case.tensor(f"{corner}_heat"), rtol=0, atol=1e-6)
        cell, fraction = getattr(found, f"{corner}_cell"), getattr(found, f"{corner}_fraction")
        assert_objects(case, corner, found.image_index, cell, fraction)


@pytest.mark.family_cases("targets")
def test_centers(case: Case) -> None:
    _, found = targets_of(case)
    if "ct_heat" not in case:
        assert found is None
        return
    assert found is not None
    torch.testing.assert_close(found.heat, case.tensor("ct_heat"), rtol=0, atol=1e-6)
    assert_objects(case, "ct", found.image_index, found.cell, found.fraction)
