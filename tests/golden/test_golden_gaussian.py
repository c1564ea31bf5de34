"""Radius and shape of the Gaussians around corners."""

from __future__ import annotations

import pytest
import torch

from cornernet_ops.corner_targets import draw_gaussians, gaussian_radius
from tests.golden.cases import Case, Golden


def test_radius(golden: Golden) -> None:
    table = golden("gaussian").tensor("radius_table")
    for overlap in table[:, 2].unique():
        height, width, _, radius = table[table[:, 2] == overlap].unbind(1)
        found = gaussian_radius(height, width, float(overlap))
        torch.testing.assert_close(found, radius, rtol=0, atol=1e-9)


def test_single_gaussian(golden: Golden) -> None:
    content = golden("gaussian")
    names = [name for name in content.arrays if name.startswith("kernel_r")]
    assert names
    for name in names:
        radius = int(name.removeprefix("kernel_r"))
        middle = torch.tensor([radius])
        heat = torch.zeros(1, 2 * radius + 1, 2 * radius + 1)
        draw_gaussians(heat, torch.tensor([0]), middle, middle, middle)
        torch.testing.assert_close(heat[0], content.tensor(name), rtol=0, atol=1e-6)


@pytest.mark.golden_cases("gaussian", "targets", "target{index}_")
def test_gaussians_joined_by_maximum(case: Case) -> None:
    heat = torch.zeros(1, case.meta["H"], case.meta["W"])
    sequence = case.tensor("seq")
    factors = sequence[:, 3]
    # The factor k of a Gaussian's height is the reference's; ours are always 1 at the corner.
    for factor in factors.unique():
        x, y, radius, _ = sequence[factors == factor].long().unbind(1)
        drawn = draw_gaussians(torch.zeros_like(heat), torch.zeros_like(x), y, x, radius)
        heat = torch.maximum(heat, drawn * float(factor))
    torch.testing.assert_close(heat[0], case.tensor("heatmap"), rtol=0, atol=1e-6)
