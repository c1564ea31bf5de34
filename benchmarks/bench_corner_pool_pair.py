"""corner_pool_pair against two poolings and an addition: ours, and what mmcv's users write."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from cornernet_ops import corner_pool, corner_pool_pair, reference
from cornernet_ops.corner_pool_pair import CORNERS

from .bench_corner_pool import peers
from .maps import Contest, Setting, settings
from .measure import Case

Pair = Callable[[Tensor, Tensor, str], Tensor]


def of_two(pool: Callable[[Tensor, str], Tensor]) -> Pair:
    """Two poolings one after the other and their sum."""

    def pair(vertical: Tensor, horizontal: Tensor, corner: str) -> Tensor:
        down, along = CORNERS[corner]
        return pool(vertical, down) + pool(horizontal, along)

    return pair


def cases(device: torch.device, full: bool) -> Iterator[Case]:
    for setting in settings(full):
        vertical = setting.random(device, seed=0).requires_grad_()
        horizontal = setting.random(device, seed=1).requires_grad_()
        g = setting.integers(device, seed=2)
        for corner in CORNERS:
            yield from _cases(setting, vertical, horizontal, g, corner, full)


def _cases(
    setting: Setting, vertical: Tensor, horizontal: Tensor, g: Tensor, corner: str, full: bool
) -> Iterator[Case]:
    inputs = (vertical, horizontal)
    data = (vertical.detach(), horizontal.detach())
    others = {"two pools": of_two(corner_pool)}
    if setting.peers_are_timed or not full:
        others |= {name: of_two(pool) for name, pool in peers().items()}
    contest = Contest("corner_pool_pair", corner, setting, g.nbytes, full, corner_pool_pair, others)

    def forward(pair: Pair) -> Callable[[], Tensor]:
        return lambda: pair(*data, corner)

    def both(pair: Pair) -> Callable[[], tuple[Tensor, ...]]:
        def call() -> tuple[Tensor, ...]:
            y = pair(*inputs, corner)
            return y, *torch.autograd.grad(y, inputs, g)

        return call

    def reference_both() -> tuple[Tensor, ...]:
        y = reference.corner_pool_pair(*data, corner)
        return y, *reference.corner_pool_pair_backward(g, *data, corner)

    yield contest.case(
        "forward", 3, forward, forward(reference.corner_pool_pair), lambda: data[0] + data[1]
    )
    yield contest.case(
        "forward + backward",
        8,
        both,
        reference_both,
        lambda: (data[0] + data[1], data[0] + g, data[1].clone()),
    )
