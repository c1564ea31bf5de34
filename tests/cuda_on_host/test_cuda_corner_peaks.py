"""csrc/cuda/corner_peaks.cu on the host, against the CPU's kernel."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cornernet_ops import corner_peaks, testing
from cornernet_ops.checks import FLOATING
from tests.cuda_on_host.conftest import OnHost


def test_peaks_are_the_cpus(on_host: OnHost) -> None:
    testing.check_cases(
        testing.cases_of("corner_peaks"),
        lambda case: testing.assert_identical(
            case.call(on_host.corner_peaks), case.call(corner_peaks)
        ),
    )


# Cells for one list, for several, and for more than are merged at once; 1024 peaks, the most that
# the kernel is made for, and one more.
@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize("shape", [(2, 1, 8, 9), (2, 2, 70, 64), (1, 5, 190, 160)])
def test_maps_of_any_size(
    on_host: OnHost, guarded: Callable[[Tensor], Tensor], shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    for number, (k, kernel_size) in enumerate([(1, 1), (37, 3), (1024, 1), (1024, 7), (1025, 3)]):
        on_host.seed(number)
        values = testing.special_values if number % 2 else testing.tied_values
        heat = guarded(values(shape, number).to(dtype))
        least = guarded(testing.random_values(shape[1:2], number).to(dtype) - 1)
        for limit in (None, least):
            testing.assert_identical(
                on_host.corner_peaks(heat, k, kernel_size, limit),
                corner_peaks(heat, k, kernel_size, limit),
            )


def test_lists_are_merged_in_levels(on_host: OnHost) -> None:
    # 300 cells above the others lie in one of 19 lists.
    heat = torch.rand(1, 19, 64, 128)
    heat[0, 11, 3:8, :60] += 1
    testing.assert_identical(on_host.corner_peaks(heat, 400, 1), corner_peaks(heat, 400, 1))
