"""csrc/cuda/center_pool.cu on the host, against the CPU's kernels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cornernet_ops import center_pool, center_pool_backward, testing
from cornernet_ops.checks import FLOATING
from tests.cuda_on_host.conftest import OnHost


def test_values_are_the_cpus(on_host: OnHost) -> None:
    testing.check_cases(
        testing.cases_of("center_pool"),
        lambda case: testing.assert_identical(
            case.call(on_host.center_pool), case.call(center_pool)
        ),
    )


def test_gradients_are_the_cpus(on_host: OnHost) -> None:
    testing.check_cases(
        testing.cases_of("center_pool_backward"),
        lambda case: testing.assert_identical(
            case.call(on_host.center_pool_backward), case.call(center_pool_backward)
        ),
    )


# Sizes around those of the kernels: vectors, teams of lanes, rows of a thread, warps of a block.
@pytest.mark.parametrize("channels_last", [False, True])
def test_planes_of_any_size(
    on_host: OnHost, guarded: Callable[[Tensor], Tensor], channels_last: bool
) -> None:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for number, (height, width) in enumerate([(1, 8), (3, 40), (33, 64), (130, 24), (70, 260)]):
        shape = (2, 8 + number, height, width)
        for dtype in FLOATING:
            on_host.seed(number)
            maps = [
                guarded(testing.tied_values(shape, seed).to(dtype).contiguous(memory_format=layout))
                for seed in (1, 2, 3)
            ]
            testing.assert_identical(on_host.center_pool(*maps[1:]), center_pool(*maps[1:]))
            testing.assert_identical(
                on_host.center_pool_backward(*maps), center_pool_backward(*maps)
            )
