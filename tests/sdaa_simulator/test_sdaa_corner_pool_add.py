"""corner_pool_add's kernel for SDAA, run by its launcher in the simulator, against the CPU's."""

from __future__ import annotations

import pytest
import torch

from cornernet_ops import corner_pool_add, testing
from tests.sdaa_simulator.launchers import Launchers
from tests.sdaa_simulator.test_sdaa_corner_pool import DTYPES, SHAPES


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
def test_every_case_is_that_of_the_cpu_bit_for_bit(
    launchers: Launchers, dtype: torch.dtype
) -> None:
    for case in testing.cases_of("corner_pool_add"):
        x = case.args[1]
        if x.dtype == dtype and x.numel() > 0:
            testing.assert_identical(case.call(launchers.pool_add), case.call(corner_pool_add))


@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("shape", SHAPES[::2], ids=str)
def test_every_size_works(
    launchers: Launchers, shape: tuple[int, ...], channels_last: bool
) -> None:
    for dtype in DTYPES[:2]:
        x = testing.random_values(shape, seed=3).to(dtype)
        addend = testing.tied_values(shape, seed=4).to(dtype)
        if channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        for direction in ("top", "right"):
            expected = corner_pool_add(addend, x, direction)
            testing.assert_identical(launchers.pool_add(addend, x, direction), expected)
