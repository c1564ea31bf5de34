"""corner_pool's kernels for SDAA, run by their launchers in the simulator, against the CPU's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cornernet_ops import corner_pool, testing
from cornernet_ops.corner_pool import corner_pool_backward
from tests.sdaa_simulator.launchers import Launchers

Pool = Callable[..., Tensor]


@pytest.fixture
def pool(launchers: Launchers) -> Pool:
    return launchers.pool


DTYPES = (torch.float32, torch.float16, torch.bfloat16)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_case_is_that_of_the_cpu_bit_for_bit(pool: Pool, dtype: torch.dtype) -> None:
    for case in testing.cases_of("corner_pool"):
        x, direction = case.args
        if x.dtype == dtype and x.numel() > 0:
            testing.assert_identical(pool(x, direction), corner_pool(x, direction))


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
def test_every_gradient_is_that_of_the_cpu_bit_for_bit(pool: Pool, dtype: torch.dtype) -> None:
    for case in testing.cases_of("corner_pool_backward"):
        grad, x, direction = case.args
        if x.dtype == dtype and x.numel() > 0:
            expected = corner_pool_backward(grad, x, direction)
            testing.assert_identical(pool(x, direction, grad), expected)


# Widths and heights at which tiles, strips and chunks begin and end somewhere: planes larger than
# the scratchpad, one long row or column, odd numbers of two-byte elements in either dimension.
SHAPES = [
    (1, 2, 300, 301),
    (1, 1, 2, 9001),
    (1, 1, 9001, 2),
    (1, 3, 1, 40001),
    (1, 1, 40001, 1),
    (1, 1, 3, 5003),
    (1, 1, 5003, 3),
    (1, 40, 31, 33),
    (2, 129, 9, 127),
]


@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_size_works_in_both_passes(
    pool: Pool, shape: tuple[int, ...], channels_last: bool
) -> None:
    for dtype in DTYPES[:2]:
        x = testing.tied_values(shape, seed=3) + testing.random_values(shape, seed=4).round()
        x = x.to(dtype)
        # A slope, so that maxima change along all of a scan, and last long elsewhere.
        x[..., ::2] += torch.linspace(-9, 9, shape[3])[::2].round().to(dtype)
        grad = torch.randint(-2, 3, shape, generator=torch.Generator().manual_seed(5)).to(x)
        if channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        for direction in testing.DIRECTIONS:
            testing.assert_identical(pool(x, direction), corner_pool(x, direction))
            expected = corner_pool_backward(grad, x, direction)
            testing.assert_identical(pool(x, direction, grad), expected)


def test_gradients_of_float16_are_summed_in_float32(pool: Pool) -> None:
    x = torch.zeros(1, 1, 1, 4096, dtype=torch.float16)
    x[..., 0] = 1
    grad = torch.ones_like(x)
    assert pool(x, "right", grad)[0, 0, 0, 0] == 4096  # float16 would stay at 2048


def test_gradients_of_scans_beyond_the_scratchpad_are_refused(launchers: Launchers) -> None:
    assert launchers.backward_fits(10_000_000)
    assert not launchers.backward_fits(11_000_000)
