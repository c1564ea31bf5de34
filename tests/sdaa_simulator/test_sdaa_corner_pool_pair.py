"""corner_pool_pair's kernels for SDAA, run by their launchers in the simulator."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest
import torch
from test_sdaa_corner_pool import DTYPES, SHAPES, dense, scan_of
from toolkit_host import Buffer, Runtime, dtype_code
from torch import Tensor

from cornernet_ops import corner_pool_pair, testing

Pair = Callable[[Tensor, Tensor, str], Tensor]


@pytest.fixture
def pair(runtime: Runtime, kernels: ctypes.CDLL) -> Pair:
    """corner_pool_pair on the simulated device, by the launches that the side of torch makes."""
    kernels.cornernet_sdaa_corner_pool_pair_fits.restype = ctypes.c_bool

    def pair(vertical: Tensor, horizontal: Tensor, corner: str) -> Tensor:
        vertical = dense(vertical)
        horizontal = torch.empty_like(vertical).copy_(horizontal)
        n, c, h, w = vertical.shape
        dtype = dtype_code(vertical.dtype)
        v, hor = Buffer.of(runtime, vertical), Buffer.of(runtime, horizontal)
        y = Buffer(runtime, v.size)
        sizes = [ctypes.c_int64(value) for value in (n * c, h, w)]
        if vertical.is_contiguous() and kernels.cornernet_sdaa_corner_pool_pair_fits(
            dtype, *sizes[1:]
        ):
            reverse = ctypes.c_bool(corner == "top_left")
            kernels.cornernet_sdaa_corner_pool_pair(
                runtime.stream, dtype, v.pointer, hor.pointer, y.pointer, *sizes, reverse
            )
        else:
            directions = ("top", "left") if corner == "top_left" else ("bottom", "right")
            for name, x, direction in zip(("pool", "pool_add"), (v, hor), directions, strict=True):
                *scan, reverse = scan_of(vertical, direction)
                launch = getattr(kernels, f"cornernet_sdaa_corner_{name}")
                sizes = [ctypes.c_int64(value) for value in scan]
                launch(runtime.stream, dtype, x.pointer, y.pointer, *sizes, ctypes.c_bool(reverse))
        assert runtime.error() == ""
        return y.into(torch.empty_like(vertical))

    return pair


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
def test_every_case_is_that_of_the_cpu_bit_for_bit(pair: Pair, dtype: torch.dtype) -> None:
    for case in testing.corner_pool_pair_cases():
        vertical = case.args[0]
        if vertical.dtype == dtype and vertical.numel() > 0:
            testing.assert_identical(pair(*case.args), corner_pool_pair(*case.args))


@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("shape", [*SHAPES, (1, 40, 128, 128), (1, 3, 4, 4096)], ids=str)
def test_every_size_works(pair: Pair, shape, channels_last: bool) -> None:
    for dtype in DTYPES[:2]:
        x = testing.random_values(shape, seed=3).to(dtype)
        other = testing.tied_values(shape, seed=4).to(dtype)
        if channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        for corner in ("top_left", "bottom_right"):
            expected = corner_pool_pair(x, other, corner)
            testing.assert_identical(pair(x, other, corner), expected)


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
@pytest.mark.parametrize("shape", [(1, 128, 128, 128), (6, 32, 127, 127)], ids=str)
def test_cost(pair: Pair, runtime: Runtime, shape, dtype: torch.dtype) -> None:
    """The goals, as of corner_pool. `pytest -s` prints the figures."""
    x = torch.zeros(shape, dtype=dtype)
    runtime.launches()
    pair(x, x, "top_left")
    (launch,) = runtime.launches()
    must_move = 3 * x.numel() * x.element_size()
    print(f"\n{list(shape)} {launch.report(must_move)}")
    assert launch.moved <= 1.05 * must_move
    assert launch.peak <= 220 * 1024
    assert launch.balance <= 1.1
    assert launch.seconds() <= 1.25 * must_move / 240e9
