"""The learning rate of every step of 210 epochs."""

from __future__ import annotations

import numpy as np
import pytest

from cornernet.config import load_recipe
from cornernet.train.schedule import learning_rate
from tests.golden.cases import Case

RECIPE = "cornernet_hourglass104_8xb6-210e-mstest_coco"


@pytest.mark.golden_cases("lr_schedule", "cases", "lr{index}")
def test_rate_of_every_step(case: Case) -> None:
    config = load_recipe(RECIPE).train
    wanted, steps = case.array(""), case.meta["iters_per_epoch"]
    assert len(wanted) == config.epochs * steps
    found = [learning_rate(step, steps, config) for step in range(len(wanted))]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9)
