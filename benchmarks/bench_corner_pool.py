"""corner_pool against what mmcv does, flip and cummax, and against copying its tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from cornernet_ops import corner_pool, reference
from cornernet_ops.corner_pool import SCANS

from .maps import Contest, Setting, settings
from .measure import Case

Pool = Callable[[Tensor, str], Tensor]


def flip_cummax(x: Tensor, direction: str) -> Tensor:
    """The way of mmcv's CornerPool since 1.4.8: flip, cummax, flip."""
    dim, reverse = SCANS[direction]
    if not reverse:
        return x.cummax(dim).values
    return x.flip(dim).cummax(dim).values.flip(dim)


def peers() -> dict[str, Pool]:
    """Other people's corner pooling, by name: mmcv's where it is installed, else written out."""
    try:
        from mmcv.ops import CornerPool
    except ImportError:
        return {"cummax": flip_cummax}
    return {"mmcv": lambda x, direction: CornerPool(direction)(x)}


def cases(device: torch.device, full: bool) -> Iterator[Case]:
    for setting in settings(full):
        x = setting.random(device, seed=0).requires_grad_()
        g = setting.integers(device, seed=1)
        for direction in SCANS:
            yield from _cases(setting, x, g, direction, full)


def _cases(setting: Setting, x: Tensor, g: Tensor, direction: str, full: bool) -> Iterator[Case]:
    pools = peers() if setting.peers_are_timed or not full else {}
    contest = Contest("corner_pool", direction, setting, x.nbytes, full, corner_pool, pools)
    # Autograd has no part in forward and in the floors.
    data = x.detach()

    def forward(pool: Pool) -> Callable[[], Tensor]:
        return lambda: pool(data, direction)

    def backward(pool: Pool) -> Callable[[], Tensor]:
        # The graph is made in the first call, so that one contender's is not in others' memory
        # before it is needed.
        graph: list[Tensor] = []

        def call() -> Tensor:
            if not graph:
                graph.append(pool(x, direction))
            return torch.autograd.grad(graph[0], x, g, retain_graph=True)[0]

        return call

    def both(pool: Pool) -> Callable[[], tuple[Tensor, Tensor]]:
        def call() -> tuple[Tensor, Tensor]:
            y = pool(x, direction)
            return y, torch.autograd.grad(y, x, g)[0]

        return call

    # The references are ops of their own and not meant to be differentiated by autograd.
    def reference_backward() -> Tensor:
        return reference.corner_pool_backward(g, data, direction)

    def reference_both() -> tuple[Tensor, Tensor]:
        return reference.corner_pool(data, direction), reference_backward()

    yield contest.case("forward", 2, forward, forward(reference.corner_pool), data.clone)
    yield contest.case("backward", 3, backward, reference_backward, lambda: data + g)
    yield contest.case(
        "forward + backward", 5, both, reference_both, lambda: (data.clone(), data + g)
    )
