"""csrc/cuda/corner_pool_pair.cu on the host, against the CPU's kernels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cornernet_ops import corner_pool_pair, corner_pool_pair_backward, testing
from cornernet_ops.checks import FLOATING
from tests.cuda_on_host.conftest import OnHost


def test_values_are_the_cpus(on_host: OnHost) -> None:
    testing.check_cases(
        testing.cases_of("corner_pool_pair"),
        lambda case: testing.assert_identical(
            case.call(on_host.corner_pool_pair), case.call(corner_pool_pair)
        ),
    )


def test_gradients_are_the_cpus(on_host: OnHost) -> None:
    testing.check_cases(
        testing.cases_of("corner_pool_pair_backward"),
        lambda case: testing.assert_identical(
            case.call(on_host.corner_pool_pair_backward), case.call(corner_pool_pair_backward)
        ),
    )


# Planes narrower and wider than a warp's vectors and than what is kept of a tile's columns, lower
# and higher than a tile.
@pytest.mark.parametrize("corner", testing.CORNERS)
@pytest.mark.parametrize(
    ("height", "width"), [(1, 8), (3, 40), (31, 64), (32, 128), (70, 136), (65, 260), (40, 2056)]
)
def test_planes_of_any_size(
    on_host: OnHost, guarded: Callable[[Tensor], Tensor], height: int, width: int, corner: str
) -> None:
    for number, dtype in enumerate(FLOATING):
        on_host.seed(number)
        values = [testing.tied_values((1, 2, height, width), 1 + seed) for seed in range(2)]
        vertical, horizontal = (guarded(value.to(dtype)) for value in values)
        testing.assert_identical(
            on_host.corner_pool_pair(vertical, horizontal, corner),
            corner_pool_pair(vertical, horizontal, corner),
        )


@pytest.mark.parametrize("corner", testing.CORNERS)
def test_channels_innermost(
    on_host: OnHost, guarded: Callable[[Tensor], Tensor], corner: str
) -> None:
    for dtype in FLOATING:
        shape = (2, 48, 20, 35)
        vertical, horizontal = (
            guarded(values(shape, 4).to(dtype).contiguous(memory_format=torch.channels_last))
            for values in (testing.random_values, testing.special_values)
        )
        testing.assert_identical(
            on_host.corner_pool_pair(vertical, horizontal, corner),
            corner_pool_pair(vertical, horizontal, corner),
        )
