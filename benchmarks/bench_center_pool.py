"""center_pool against two reductions and a sum by torch, and against an addition alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from cornernet_ops import center_pool, reference

from .maps import Contest, Setting, settings
from .measure import Case

Pool = Callable[[Tensor, Tensor], Tensor]


def by_reductions(vertical: Tensor, horizontal: Tensor) -> Tensor:
    return vertical.amax(2, keepdim=True) + horizontal.amax(3, keepdim=True)


def cases(device: torch.device, full: bool) -> Iterator[Case]:
    for setting in settings(full):
        vertical = setting.random(device, seed=0).requires_grad_()
        horizontal = setting.random(device, seed=1).requires_grad_()
        yield from _cases(setting, vertical, horizontal, setting.integers(device, seed=2), full)


def _cases(
    setting: Setting, vertical: Tensor, horizontal: Tensor, g: Tensor, full: bool
) -> Iterator[Case]:
    inputs = (vertical, horizontal)
    data = (vertical.detach(), horizontal.detach())
    # torch divides the gradient of equal maxima, so backward has no peer.
    contest = Contest(
        "center_pool", "", setting, g.nbytes, full, center_pool, {"amax": by_reductions}
    )
    alone = Contest("center_pool", "", setting, g.nbytes, full, center_pool, {})

    def forward(pool: Pool) -> Callable[[], Tensor]:
        return lambda: pool(*data)

    def both(pool: Pool) -> Callable[[], tuple[Tensor, ...]]:
        def call() -> tuple[Tensor, ...]:
            y = pool(*inputs)
            return y, *torch.autograd.grad(y, inputs, g)

        return call

    def reference_both() -> tuple[Tensor, ...]:
        return reference.center_pool(*data), *reference.center_pool_backward(g, *data)

    def baseline() -> tuple[Tensor, ...]:
        return data[0] + data[1], data[0] + g, data[1].clone()

    yield contest.case(
        "forward", 3, forward, forward(reference.center_pool), lambda: data[0] + data[1]
    )
    yield alone.case("forward + backward", 8, both, reference_both, baseline)
