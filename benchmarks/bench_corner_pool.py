"""corner_pool against what mmcv does, flip and cummax, and against copying its tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from cornernet_ops import corner_pool, reference
from cornernet_ops.corner_pool import SCANS

from .maps import settings
from .measure import Case

Pool = Callable[[Tensor, str], Tensor]


def flip_cummax(x: Tensor, direction: str) -> Tensor:
    """The way of mmcv's CornerPool since 1.4.8: flip, cummax, flip."""
    dim, reverse = SCANS[direction]
    if not reverse:
        return x.cummax(dim).values
    return x.flip(dim).cummax(dim).values.flip(dim)


def peers() -> dict[str, Pool]:
    """Other people's corner pooling, by name: always cummax, mmcv's own where it is installed."""
    found: dict[str, Pool] = {"cummax": flip_cummax}
    try:
        from mmcv.ops import CornerPool
    except ImportError:
        return found
    return {**found, "mmcv": lambda x, direction: CornerPool(direction)(x)}


def cases(device: torch.device, full: bool) -> Iterator[Case]:
    for setting in settings(full):
        x = setting.random(device, seed=0).requires_grad_()
        g = setting.integers(device, seed=1)
        for direction in SCANS:
            yield from _cases(str(setting), x, g, direction)


def _cases(setting: str, x: Tensor, g: Tensor, direction: str) -> Iterator[Case]:
    size = x.numel() * x.element_size()
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

    yield Case(
        op="corner_pool",
        part="forward",
        variant=direction,
        setting=setting,
        moved=2 * size,
        call=forward(corner_pool),
        others={
            "reference": forward(reference.corner_pool),
            **{name: forward(pool) for name, pool in peers().items()},
        },
        floor=data.clone,
    )
    yield Case(
        op="corner_pool",
        part="backward",
        variant=direction,
        setting=setting,
        moved=3 * size,
        call=backward(corner_pool),
        others={
            "reference": reference_backward,
            **{name: backward(pool) for name, pool in peers().items()},
        },
        floor=lambda: data + g,
    )
    yield Case(
        op="corner_pool",
        part="forward + backward",
        variant=direction,
        setting=setting,
        moved=5 * size,
        call=both(corner_pool),
        others={
            "reference": reference_both,
            **{name: both(pool) for name, pool in peers().items()},
        },
        floor=lambda: (data.clone(), data + g),
    )
