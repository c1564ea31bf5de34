"""The learning rate of each step."""

from __future__ import annotations

import math

from cornernet.config import TrainConfig


def learning_rate(step: int, steps_per_epoch: int, config: TrainConfig) -> float:
    """Linear warm-up times a step or cosine schedule.

    Args:
        step: 0 for the first step of the run.
        steps_per_epoch: in one epoch.
        config: rate, warm-up and schedule.
    """
    rate = config.learning_rate
    if config.schedule == "step":
        epoch = step // steps_per_epoch
        rate *= config.gamma ** sum(epoch >= milestone for milestone in config.milestones)
    else:
        done = step / max(1, config.epochs * steps_per_epoch - 1)
        rate *= config.gamma + (1 - config.gamma) * (1 + math.cos(math.pi * min(1.0, done))) / 2
    # The last step of the warm-up already has the whole rate.
    if step < config.warmup_steps - 1:
        share = step / (config.warmup_steps - 1)
        rate *= config.warmup_start + (1 - config.warmup_start) * share
    return rate
