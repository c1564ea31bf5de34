"""A moving average of the weights."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Net = TypeVar("Net", bound=nn.Module)

# Steps over which the average forgets the random first weights: the decay grows with the steps
# done, from 0 to its final value.
_RAMP_STEPS = 100.0


class WeightAverage(Generic[Net]):
    """Exponential moving average of a module's parameters and floating buffers.

    Integer buffers (BatchNorm's counters) are copied.

    Args:
        module: whose weights are averaged; not changed.
        decay: share of the old average kept at each step, 0..1.
    """

    def __init__(self, module: Net, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + _RAMP_STEPS))
        averages: list[Tensor] = []
        values: list[Tensor] = []
        theirs = module.state_dict()
        for name, average in self.module.state_dict().items():
            if average.is_floating_point():
                averages.append(average)
                values.append(theirs[name])
            else:
                average.copy_(theirs[name])
        torch._foreach_lerp_(averages, values, 1 - decay)
