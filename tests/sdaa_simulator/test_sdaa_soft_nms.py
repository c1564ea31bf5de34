"""soft_nms' kernel for SDAA, run by its launcher in the simulator, against the CPU's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cornernet_ops import soft_nms
from tests.sdaa_simulator.launchers import METHODS, Launchers

Suppress = Callable[..., Any]  # a tuple of tensors, or None where the kernel has no room


@pytest.fixture
def suppress(launchers: Launchers) -> Suppress:
    return launchers.suppress


def crowd(n: int, count: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes that overlap much, with equal scores, NaN and candidates that are none among them."""
    random = torch.Generator().manual_seed(seed)
    corner = torch.rand(n, count, 2, generator=random) * 50
    boxes = torch.cat([corner, corner + torch.rand(n, count, 2, generator=random) * 40], 2)
    scores = (torch.rand(n, count, generator=random) * 64).round() / 64
    labels = torch.randint(-1, classes, (n, count), generator=random)
    scores[:, ::17] = torch.nan
    boxes[:, ::13, 2] = torch.nan
    boxes[:, ::11] = boxes[:, :1].clone()
    return boxes, scores, labels


def options(**changes: float | str) -> dict[str, Any]:
    defaults = {"method": "gaussian", "iou_threshold": 0.5, "sigma": 0.5, "min_score": 0.05}
    return defaults | {"max_detections": 60, "merge_exponent": 0.0} | changes


def assert_same(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    assert torch.equal(found[0], expected[0])
    for one, other in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("merge_exponent", [0.0, 4.0])
@pytest.mark.parametrize("method", METHODS)
def test_it_picks_what_the_cpu_picks(
    suppress: Suppress, method: str, merge_exponent: float
) -> None:
    for changes in ({}, {"iou_threshold": 0.0}, {"min_score": -1.0}):
        tensors = crowd(3, 200, 4)
        chosen = options(method=method, merge_exponent=merge_exponent, **changes)
        assert_same(suppress(*tensors, **chosen), soft_nms(*tensors, **chosen))


@pytest.mark.parametrize(
    ("n", "count", "limit"), [(1, 1, 1), (1, 0, 5), (70, 9, 12), (2, 1000, 300), (1, 5000, 10)]
)
def test_every_size_works(suppress: Suppress, n: int, count: int, limit: int) -> None:
    whole = crowd(n, count, 3) if count else crowd(n, 1, 3)
    tensors = [tensor[:, :count].contiguous() for tensor in whole]
    chosen = options(max_detections=limit)
    assert_same(suppress(*tensors, **chosen), soft_nms(*tensors, **chosen))


def test_more_candidates_than_a_scratchpad_holds_are_refused(suppress: Suppress) -> None:
    assert suppress(*crowd(1, 5001, 3), **options()) is None
