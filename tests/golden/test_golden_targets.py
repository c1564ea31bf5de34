"""Heat-maps, offsets and corner cells that the network is trained to put out."""

from __future__ import annotations

import pytest
import torch

from cornernet.parts.corners.structures import Targets
from cornernet.parts.corners.targets import build_targets
from tests.golden.cases import Case


def targets_of(case: Case) -> Targets:
    meta = case.meta
    return build_targets(
        case.per_image("boxes"),
        case.per_image("labels"),
        meta["num_classes"],
        tuple(meta["img"]),
        tuple(meta["feat"]),
    )


@pytest.mark.parametrize("corner", ["tl", "br"])
@pytest.mark.golden_cases("targets", "cases", "{name}_")
def test_heat_map(case: Case, corner: str) -> None:
    found = getattr(targets_of(case), f"{corner}_heat")
    torch.testing.assert_close(found, case.tensor(f"{corner}_heatmap"), rtol=0, atol=1e-6)


@pytest.mark.parametrize("corner", ["tl", "br"])
@pytest.mark.golden_cases("targets", "cases", "{name}_")
def test_offset(case: Case, corner: str) -> None:
    found = getattr(targets_of(case), f"{corner}_offset")
    torch.testing.assert_close(found, case.tensor(f"{corner}_offset"), rtol=0, atol=1e-6)


@pytest.mark.golden_cases("targets", "cases", "{name}_")
def test_corner_cells(case: Case) -> None:
    found = targets_of(case)
    width = case.meta["feat"][1]
    for picture, match in enumerate(case.per_image("match")):
        mine = found.image_index == picture
        for corner, cell in enumerate((found.tl_cell[mine], found.br_cell[mine])):
            y_x = torch.stack([cell // width, cell % width], 1)
            assert torch.equal(y_x, match[:, corner])


@pytest.mark.parametrize("corner", ["tl", "br"])
@pytest.mark.golden_cases("targets", "cases", "{name}_")
def test_mask_marks_the_corners_of_any_class(case: Case, corner: str) -> None:
    wanted = (case.tensor(f"{corner}_heatmap") == 1).any(1, keepdim=True).float()
    assert torch.equal(getattr(targets_of(case), f"{corner}_mask"), wanted)
