"""corner_pool's kernels for SDAA, run by their launchers in the simulator, against the CPU's."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest
import torch
from toolkit_host import Buffer, Runtime, dtype_code
from torch import Tensor

from cornernet_ops import corner_pool, testing
from cornernet_ops.corner_pool import SCANS, corner_pool_backward

Pool = Callable[..., Tensor]


def scan_of(x: Tensor, direction: str) -> tuple[int, int, int, bool]:
    """Outer, length and inner of a dense x, as csrc/common/corner_pool.h has them, and reverse."""
    n, c, h, w = x.shape
    dim, reverse = SCANS[direction]
    if x.is_contiguous():
        return (n * c, h, w, reverse) if dim == 2 else (n * c * h, w, 1, reverse)
    return (n, h, w * c, reverse) if dim == 2 else (n * h, w, c, reverse)


def dense(x: Tensor) -> Tensor:
    channels_last = x.shape[1] > 1 and x.stride(1) == 1 and not x.is_contiguous()
    format = torch.channels_last if channels_last else torch.contiguous_format
    return x.contiguous(memory_format=format)


@pytest.fixture
def pool(runtime: Runtime, kernels: ctypes.CDLL) -> Pool:
    """corner_pool, or its gradient where one is given, on the simulated device."""

    def pool(x: Tensor, direction: str, grad: Tensor | None = None) -> Tensor:
        x = dense(x)
        outer, length, inner, reverse = scan_of(x, direction)
        scan = [ctypes.c_int64(n) for n in (outer, length, inner)]
        arguments = [Buffer.of(runtime, x)]
        if grad is not None:
            arguments.insert(0, Buffer.of(runtime, torch.empty_like(x).copy_(grad)))
        result = Buffer(runtime, x.numel() * x.element_size())
        name = "cornernet_sdaa_corner_pool" + ("" if grad is None else "_backward")
        pointers = [buffer.pointer for buffer in (*arguments, result)]
        launch = getattr(kernels, name)
        launch(runtime.stream, dtype_code(x.dtype), *pointers, *scan, ctypes.c_bool(reverse))
        assert runtime.error() == ""
        return result.into(torch.empty_like(x))

    return pool


DTYPES = (torch.float32, torch.float16, torch.bfloat16)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_case_is_that_of_the_cpu_bit_for_bit(pool: Pool, dtype: torch.dtype) -> None:
    for case in testing.corner_pool_cases():
        x, direction = case.args
        if x.dtype == dtype and x.numel() > 0:
            testing.assert_identical(pool(x, direction), corner_pool(x, direction))


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
def test_every_gradient_is_that_of_the_cpu_bit_for_bit(pool: Pool, dtype: torch.dtype) -> None:
    for case in testing.corner_pool_backward_cases():
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
def test_every_size_works_in_both_passes(pool: Pool, shape, channels_last: bool) -> None:
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


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("direction", ["top", "left"])
@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
@pytest.mark.parametrize(
    "shape", [(1, 128, 128, 128), (1, 64, 127, 127), (6, 24, 128, 128)], ids=str
)
def test_cost(
    pool: Pool, runtime: Runtime, shape, dtype, channels_last, direction, backward
) -> None:
    """The goals: least bytes, scratchpad to spare, all SPEs busy, near the speed of memory.

    `pytest -s` prints the figures.
    """
    x = torch.zeros(shape, dtype=dtype)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    runtime.launches()
    pool(x, direction, x if backward else None)
    (launch,) = runtime.launches()
    must_move = x.numel() * x.element_size() * (3 if backward else 2)
    print(f"\n{list(shape)} {direction} {launch.report(must_move)}")
    assert launch.moved <= 1.05 * must_move
    assert launch.peak <= 220 * 1024
    assert launch.balance <= 1.1
    assert launch.seconds() <= 1.25 * must_move / 240e9
