"""Corner pooling equals mmcv's, forward and backward."""

from __future__ import annotations

import pytest
import torch

from cornernet_ops import corner_pool
from tests.golden.cases import Case

DIRECTIONS = ("top", "bottom", "left", "right")


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.golden_cases("corner_pool", "cases", "{name}_")
def test_output(case: Case, direction: str) -> None:
    assert torch.equal(corner_pool(case.tensor("x"), direction), case.tensor(f"{direction}_out"))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.golden_cases("corner_pool", "cases", "{name}_")
def test_gradient_goes_to_the_last_maximum_along_the_scan(case: Case, direction: str) -> None:
    x = case.tensor("x").requires_grad_()
    corner_pool(x, direction).backward(case.tensor(f"{direction}_gout"))
    torch.testing.assert_close(x.grad, case.tensor(f"{direction}_gin"), rtol=0, atol=1e-5)
