"""corner_pool_pair's kernels for SDAA, run by their launchers in the simulator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cornernet_ops import corner_pool_pair, testing
from tests.sdaa_simulator.launchers import Launchers
from tests.sdaa_simulator.test_sdaa_corner_pool import DTYPES, SHAPES

# Planes that one pass takes. The last three leave little of the scratchpad to the blocks of rows;
# the very last does so in float16, and takes two passes in float32.
PLANES = [(1, 40, 128, 128), (1, 3, 4, 4096), (1, 3, 128, 192), (1, 2, 157, 157), (1, 2, 223, 225)]

Pair = Callable[[Tensor, Tensor, str], Tensor]


@pytest.fixture
def pair(launchers: Launchers) -> Pair:
    return launchers.pair


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
def test_every_case_is_that_of_the_cpu_bit_for_bit(pair: Pair, dtype: torch.dtype) -> None:
    for case in testing.cases_of("corner_pool_pair"):
        vertical = case.args[0]
        if vertical.dtype == dtype and vertical.numel() > 0:
            testing.assert_identical(pair(*case.args), corner_pool_pair(*case.args))


@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("shape", [*SHAPES, *PLANES], ids=str)
def test_every_size_works(pair: Pair, shape: tuple[int, ...], channels_last: bool) -> None:
    for dtype in DTYPES[:2]:
        x = testing.random_values(shape, seed=3).to(dtype)
        other = testing.tied_values(shape, seed=4).to(dtype)
        if channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        for corner in ("top_left", "bottom_right"):
            expected = corner_pool_pair(x, other, corner)
            testing.assert_identical(pair(x, other, corner), expected)
