"""csrc/cuda/corner_decode.cu on the host, against the CPU's kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cornernet_ops import corner_decode, testing
from tests.cuda_on_host.conftest import OnHost


def test_pairs_are_the_cpus(on_host: OnHost) -> None:
    testing.check_cases(
        testing.cases_of("corner_decode"),
        lambda case: testing.assert_identical(
            case.call(on_host.corner_decode), case.call(corner_decode)
        ),
    )


# Pairs for one list, for several, and for more than are merged at once; 1024 of them, the most that
# the kernel is made for, and one more.
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(("k", "l"), [(1, 1), (100, 100), (170, 230)])
def test_any_number_of_corners(on_host: OnHost, k: int, l: int, dtype: torch.dtype) -> None:  # noqa: E741
    arguments = testing.decode_arguments(n=2, channels=2, height=30, width=40, k=k, l=l, seed=k)
    given = [
        value.to(dtype) if value.is_floating_point() else value for value in arguments.values()
    ]
    for number, max_pairs in enumerate((1, 100, 1024, 1025)):
        on_host.seed(number)
        settings: dict[str, Any] = {"distance_threshold": 0.7, "max_pairs": max_pairs}
        testing.assert_identical(
            on_host.corner_decode(*given, **settings), corner_decode(*given, **settings)
        )


def test_maps_are_read_where_they_lie(on_host: OnHost, guarded: Callable[[Tensor], Tensor]) -> None:
    arguments = testing.decode_arguments(channels=3)
    given = [value.float() if value.is_floating_point() else value for value in arguments.values()]
    settings: dict[str, Any] = {"distance_threshold": 0.7, "max_pairs": 50}
    expected = corner_decode(*given, **settings)
    last = [
        value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value
        for value in given
    ]
    testing.assert_identical(on_host.corner_decode(*map(guarded, last), **settings), expected)
