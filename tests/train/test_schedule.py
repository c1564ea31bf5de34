"""Learning rates from their definition, at the steps that matter."""

from __future__ import annotations

import math
from typing import Any

import pytest

from cornernet.config import TrainConfig
from cornernet.train.schedule import learning_rate


def config(**changes: Any) -> TrainConfig:
    settings: dict[str, Any] = {
        "learning_rate": 1.0,
        "epochs": 10,
        "warmup_steps": 0,
        "milestones": [6, 8],
    }
    return TrainConfig(**{**settings, **changes})


def test_warm_up_starts_at_its_share_of_the_rate() -> None:
    assert learning_rate(0, 100, config(warmup_steps=11, warmup_start=0.25)) == 0.25


def test_warm_up_rises_by_equal_steps() -> None:
    settings = config(warmup_steps=11, warmup_start=0.5)
    found = [learning_rate(step, 100, settings) for step in range(11)]
    assert found == pytest.approx([0.5 + 0.05 * step for step in range(11)])


def test_last_step_of_the_warm_up_has_the_whole_rate() -> None:
    settings = config(warmup_steps=5)
    assert learning_rate(3, 100, settings) < 1.0
    assert [learning_rate(step, 100, settings) for step in (4, 5, 6)] == [1.0] * 3


@pytest.mark.parametrize("steps", [0, 1])
def test_run_without_warm_up_starts_with_the_whole_rate(steps: int) -> None:
    assert learning_rate(0, 100, config(warmup_steps=steps)) == 1.0


def test_step_schedule_falls_after_each_milestone() -> None:
    settings = config(gamma=0.1)
    first_and_last = [(epoch * 7, epoch * 7 + 6) for epoch in range(10)]
    found = [tuple(learning_rate(s, 7, settings) for s in pair) for pair in first_and_last]
    wanted = [1.0] * 6 + [0.1] * 2 + [0.01] * 2
    assert found == [pytest.approx((rate, rate)) for rate in wanted]


def test_milestone_inside_the_warm_up_lowers_it_too() -> None:
    settings = config(warmup_steps=21, warmup_start=0.0, milestones=[1], gamma=0.5)
    assert learning_rate(10, 10, settings) == pytest.approx(0.5 * 0.5)


def test_cosine_falls_from_the_rate_to_its_share_at_the_last_step() -> None:
    settings = config(schedule="cosine", gamma=0.02)
    assert learning_rate(0, 13, settings) == 1.0
    assert learning_rate(10 * 13 - 1, 13, settings) == pytest.approx(0.02)


def test_cosine_is_half_way_down_in_the_middle() -> None:
    settings = config(schedule="cosine", gamma=0.2, epochs=3)
    assert learning_rate(16, 11, settings) == pytest.approx((1.0 + 0.2) / 2)


def test_cosine_never_rises() -> None:
    settings = config(schedule="cosine", gamma=0.1)
    rates = [learning_rate(step, 5, settings) for step in range(60)]
    assert all(later <= earlier for earlier, later in zip(rates, rates[1:], strict=False))
    assert rates[-1] == pytest.approx(0.1)


def test_cosine_of_a_single_step_is_a_number() -> None:
    rate = learning_rate(0, 1, config(schedule="cosine", epochs=1))
    assert math.isfinite(rate) and rate == 1.0


def test_rate_scales_with_the_learning_rate() -> None:
    small, large = (config(learning_rate=r, warmup_steps=9) for r in (1e-3, 4e-3))
    for step in (0, 4, 8, 65, 99):
        assert learning_rate(step, 10, large) == pytest.approx(4 * learning_rate(step, 10, small))
