"""corner_peaks' kernel for SDAA, run by its launcher in the simulator, against the CPU's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cornernet_ops import corner_peaks, testing
from tests.sdaa_simulator.launchers import Launchers

Peaks = Callable[..., "tuple[Tensor, Tensor] | None"]
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


@pytest.fixture
def peaks(launchers: Launchers) -> Peaks:
    return launchers.peaks


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_case_is_that_of_the_cpu_bit_for_bit(peaks: Peaks, dtype: torch.dtype) -> None:
    for case in testing.cases_of("corner_peaks"):
        heat = case.args[0]
        if heat.dtype == dtype and heat.numel() > 0:
            expected = corner_peaks(*case.args, **case.kwargs)
            testing.assert_identical(peaks(*case.args, **case.kwargs), expected)


@pytest.mark.parametrize(
    ("shape", "k", "kernel_size"),
    [
        ((1, 2, 300, 301), 100, 3),  # planes in several tiles
        ((40, 1, 7, 5), 10, 3),  # more pictures than SPEs
        ((33, 2, 3, 3), 4, 3),
        ((1, 1, 3, 30001), 50, 5),  # rows in several tiles
        ((1, 1, 2, 40001), 50, 61),
        ((1, 1, 30001, 3), 50, 5),
        ((1, 3, 1, 1), 5, 3),  # fewer rows than SPEs
        ((2, 1, 17, 129), 8192, 3),
        ((1, 1, 200, 200), 20, 99),
    ],
    ids=str,
)
def test_every_size_works(peaks: Peaks, shape: tuple[int, ...], k: int, kernel_size: int) -> None:
    for dtype in DTYPES[:2]:
        heat = testing.random_values(shape, seed=1).to(dtype)
        heat[0, 0, 0, : shape[3] // 2] = testing.tied_values((shape[3] // 2,)).to(dtype)
        least = torch.linspace(-1, 1, shape[1]).to(dtype)
        for min_scores in (None, least):
            expected = corner_peaks(heat, k, kernel_size, min_scores)
            testing.assert_identical(peaks(heat, k, kernel_size, min_scores), expected)


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
def test_equal_scores_are_kept_by_index_where_tiles_lie_side_by_side(
    peaks: Peaks, dtype: torch.dtype
) -> None:
    heat = testing.tied_values((1, 1, 96, 33000)).to(dtype)  # three rows for an SPE
    testing.assert_identical(peaks(heat, 1000, 1), corner_peaks(heat, 1000, 1))


def test_peaks_of_windows_and_lists_beyond_the_scratchpad_are_refused(peaks: Peaks) -> None:
    assert peaks(torch.zeros(1, 1, 400, 400), 5, 301) is None
    assert peaks(torch.zeros(1, 1, 4, 4), 8193, 3) is None
