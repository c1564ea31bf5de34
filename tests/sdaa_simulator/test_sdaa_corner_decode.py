"""corner_decode's kernel for SDAA, run by its launcher in the simulator, against the CPU's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cornernet_ops import corner_decode, testing
from tests.sdaa_simulator.launchers import Launchers

Decode = Callable[..., "tuple[Tensor, ...] | None"]


@pytest.fixture
def decode(launchers: Launchers) -> Decode:
    return launchers.decode


def is_for_the_kernel(case: testing.Case) -> bool:
    return all(t.dtype != torch.float64 and t.numel() > 0 for t in case.args[:4]) and all(
        t.dtype != torch.float64 and t.shape[2] * t.shape[3] > 0 for t in case.args[4:]
    )


def test_every_case_is_that_of_the_cpu_bit_for_bit(decode: Decode) -> None:
    cases = [case for case in testing.cases_of("corner_decode") if is_for_the_kernel(case)]
    assert len(cases) > 15
    for case in cases:
        testing.assert_identical(
            decode(*case.args, **case.kwargs), corner_decode(*case.args, **case.kwargs)
        )


@pytest.mark.parametrize(
    "sizes",
    [
        {"n": 40, "k": 7, "l": 9},  # more pictures than SPEs
        {"n": 1, "k": 1, "l": 1, "height": 1, "width": 1},
        {"n": 1, "k": 700, "l": 900, "classes": 80},  # records in several pieces
        {"n": 3, "k": 60, "l": 60, "channels": 501, "classes": 1},
    ],
    ids=str,
)
def test_every_size_works(decode: Decode, sizes: dict[str, int]) -> None:
    arguments = testing.decode_arguments(**sizes)
    tensors = [t.float() if t.is_floating_point() else t for t in arguments.values()]
    options = {"distance_threshold": 0.9 * sizes.get("channels", 1) ** 0.5, "max_pairs": 150}
    testing.assert_identical(decode(*tensors, **options), corner_decode(*tensors, **options))


def test_lists_beyond_the_scratchpad_are_refused(decode: Decode) -> None:
    tensors = [t.float() if t.is_floating_point() else t for t in
               testing.decode_arguments().values()]  # fmt: skip
    assert decode(*tensors, distance_threshold=1.0, max_pairs=8193) is None
