"""csrc/cuda/corner_pool.cu on the host, against the CPU's kernels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cornernet_ops import corner_pool, corner_pool_backward, testing
from cornernet_ops.checks import FLOATING
from tests.cuda_on_host.conftest import OnHost

# Sizes around those of the kernels: vectors, teams of lanes, rows of a thread, warps of a block and
# tiles of several of them.
LENGTHS = [1, 7, 8, 31, 33, 64, 128, 129, 260, 521, 1029]


def test_values_are_the_cpus(on_host: OnHost) -> None:
    testing.check_cases(
        testing.cases_of("corner_pool"),
        lambda case: testing.assert_identical(
            case.call(on_host.corner_pool), case.call(corner_pool)
        ),
    )


def test_gradients_are_the_cpus(on_host: OnHost) -> None:
    testing.check_cases(
        testing.cases_of("corner_pool_backward"),
        lambda case: testing.assert_identical(
            case.call(on_host.corner_pool_backward), case.call(corner_pool_backward)
        ),
    )


def maps(
    length: int, direction: str, seed: int, dtype: torch.dtype, channels_last: bool
) -> tuple[Tensor, Tensor]:
    """Values and gradients with ties, NaN and infinities in lines of this length; long runs of one
    maximum among them, which outlast the kernels' tiles."""
    other = 5 + seed % 4 * 9
    shape = (1, 2, length, other) if direction in ("top", "bottom") else (1, 2, other, length)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x = testing.special_values(shape, seed) if seed % 2 else testing.tied_values(shape, seed)
    x[:, :, : shape[2] // 3, : shape[3] // 3] += 3
    g = torch.randint(-2, 3, shape, generator=torch.Generator().manual_seed(seed))
    return x.to(dtype).contiguous(memory_format=layout), g.to(dtype).contiguous(
        memory_format=layout
    )


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("direction", testing.DIRECTIONS)
def test_lines_of_any_length(
    on_host: OnHost, guarded: Callable[[Tensor], Tensor], direction: str, channels_last: bool
) -> None:
    for number, length in enumerate(LENGTHS):
        for dtype in FLOATING:
            x, g = map(guarded, maps(length, direction, number, dtype, channels_last))
            on_host.seed(number)
            testing.assert_identical(on_host.corner_pool(x, direction), corner_pool(x, direction))
            testing.assert_identical(
                on_host.corner_pool_backward(g, x, direction),
                corner_pool_backward(g, x, direction),
            )


# 256 and 192 elements in lines: vectors of 16 bytes, from an address that does and one that does
# not allow them.
@pytest.mark.parametrize("direction", testing.DIRECTIONS)
@pytest.mark.parametrize("dtype", FLOATING)
def test_addresses_that_vectors_do_not_fit(
    on_host: OnHost, dtype: torch.dtype, direction: str
) -> None:
    values = testing.special_values((1 + 2 * 24 * 64,), 3).to(dtype)
    for start in (0, 1):
        x = values[start : start + 2 * 24 * 64].view(1, 2, 24, 64)
        g = torch.ones_like(x)
        testing.assert_identical(on_host.corner_pool(x, direction), corner_pool(x, direction))
        testing.assert_identical(
            on_host.corner_pool_backward(g, x, direction), corner_pool_backward(g, x, direction)
        )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("direction", testing.DIRECTIONS)
def test_low_precision_gradient_is_rounded_once(
    on_host: OnHost, direction: str, dtype: torch.dtype
) -> None:
    # 4096 ones, which would stand still at 2048 or 256 if they were added up in the dtype.
    shape = (1, 1, 4096, 1) if direction in ("top", "bottom") else (1, 1, 1, 4096)
    x = torch.ones(shape, dtype=dtype)
    first = 0 if direction in ("bottom", "right") else 4095
    x.view(-1)[first] = 2
    grad = on_host.corner_pool_backward(torch.ones_like(x), x, direction)
    assert grad.view(-1)[first].item() == 4096


@pytest.mark.parametrize("direction", testing.DIRECTIONS)
def test_gradients_do_not_depend_on_the_turns_of_threads(on_host: OnHost, direction: str) -> None:
    x = testing.tied_values((1, 3, 150, 270), 5).float()
    g = testing.random_values(x.shape, 6).float()
    results = []
    for seed in range(3):
        on_host.seed(seed)
        results.append(on_host.corner_pool_backward(g, x, direction))
    testing.assert_identical(results[1:], results[:1] * 2)
    testing.assert_close(results[0], corner_pool_backward(g, x, direction))


def test_errors_are_those_of_the_contract(on_host: OnHost) -> None:
    with pytest.raises(ValueError, match='corner_pool: expected direction to be "top"'):
        on_host.corner_pool(torch.zeros(1, 2, 3, 4), "up")
