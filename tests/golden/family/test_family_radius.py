"""The radius of the Gaussians, by the formula of 2018 and by that of 2019."""

from __future__ import annotations

from collections.abc import Callable

import torch

from cornernet_ops.formulas import gaussian_radius
from tests.golden.cases import Case


def test_radius(family: Callable[[str], Case]) -> None:
    table = family("targets").tensor("radius_table").double()
    assert len(table)
    for height, width, overlap, *radii in table:
        for formula, radius in zip(("2018", "2019"), radii, strict=True):
            found = gaussian_radius(height, width, float(overlap), formula)
            torch.testing.assert_close(found, radius, rtol=0, atol=1e-9)
