"""corner_pool_pair against two poolings and an addition: ours, and what mmcv's users write."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from cornernet_ops import corner_pool, corner_pool_pair, reference
from cornernet_ops.corner_pool_pair import CORNERS

from .bench_corner_pool import peers
from .maps import settings
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
            yield from _cases(str(setting), vertical, horizontal, g, corner)


def _cases(
    setting: str, vertical: Tensor, horizontal: Tensor, g: Tensor, corner: str
) -> Iterator[Case]:
    size = g.numel() * g.element_size()
    inputs = (vertical, horizontal)
    data = (vertical.detach(), horizontal.detach())
    others = {"two pools": of_two(corner_pool)}
    others |= {name: of_two(pool) for name, pool in peers().items()}

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

    yield Case(
        op="corner_pool_pair",
        part="forward",
        variant=corner,
        setting=setting,
        moved=3 * size,
        call=forward(corner_pool_pair),
        others={
            "reference": forward(reference.corner_pool_pair),
            **{name: forward(pair) for name, pair in others.items()},
        },
        floor=lambda: data[0] + data[1],
    )
    yield Case(
        op="corner_pool_pair",
        part="forward + backward",
        variant=corner,
        setting=setting,
        moved=8 * size,
        call=both(corner_pool_pair),
        others={
            "reference": reference_both,
            **{name: both(pair) for name, pair in others.items()},
        },
        floor=lambda: (data[0] + data[1], data[0] + g, data[1].clone()),
    )
