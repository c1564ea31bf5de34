"""corner_pool_add against pooling and an addition, and against an addition alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from cornernet_ops import corner_pool, corner_pool_add, reference
from cornernet_ops.corner_pool import SCANS

from .maps import Contest, Setting, settings
from .measure import Case

PoolAdd = Callable[[Tensor, Tensor, str], Tensor]


def pool_then_add(addend: Tensor, x: Tensor, direction: str) -> Tensor:
    return addend + corner_pool(x, direction)


def cases(device: torch.device, full: bool) -> Iterator[Case]:
    for setting in settings(full):
        addend, x = (setting.random(device, seed=seed) for seed in range(2))
        for direction in SCANS:
            yield _case(setting, addend, x, direction, full)


def _case(setting: Setting, addend: Tensor, x: Tensor, direction: str, full: bool) -> Case:
    others = {"two ops": pool_then_add}
    contest = Contest(
        "corner_pool_add", direction, setting, x.nbytes, full, corner_pool_add, others
    )

    def forward(pool: PoolAdd) -> Callable[[], Tensor]:
        return lambda: pool(addend, x, direction)

    baseline = forward(reference.corner_pool_add)
    return contest.case("forward", 3, forward, baseline, lambda: addend + x)
