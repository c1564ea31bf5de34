"""csrc/cuda/soft_nms.cu on the host, against the CPU's kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cornernet_ops import soft_nms, testing
from cornernet_ops.soft_nms import METHODS
from tests.cuda_on_host.conftest import OnHost


def compare(
    actual: tuple[Tensor, ...], expected: tuple[Tensor, ...], settings: dict[str, Any]
) -> None:
    """Every bit, but for exponentials, and for means of boxes, which are added up in any order."""
    rounded = settings["method"] == "gaussian" or settings.get("merge_exponent", 0) > 0
    (testing.assert_close if rounded else testing.assert_identical)(actual, expected)


def test_picks_are_the_cpus(on_host: OnHost) -> None:
    testing.check_cases(
        testing.cases_of("soft_nms"),
        lambda case: compare(case.call(on_host.soft_nms), case.call(soft_nms), case.kwargs),
    )


# Fewer candidates than a block has threads, and several for each.
@pytest.mark.parametrize("exponent", [0.0, 3.0])
@pytest.mark.parametrize("method", METHODS)
def test_any_number_of_candidates(
    on_host: OnHost, guarded: Callable[[Tensor], Tensor], method: str, exponent: float
) -> None:
    for number, count in enumerate((1, 100, 256, 700)):
        on_host.seed(number)
        generator = torch.Generator().manual_seed(count)
        corner, size = torch.rand(2, 2, count, 2, generator=generator) * 30 + 1
        boxes = guarded(torch.cat([corner, corner + size], 2))
        scores = guarded((torch.rand(2, count, generator=generator) * 64).round() / 64)
        labels = guarded(torch.randint(-1, 4, (2, count), generator=generator))
        settings: dict[str, Any] = {
            "method": method, "iou_threshold": 0.4, "sigma": 0.5, "min_score": 0.05,
            "max_detections": 60, "merge_exponent": exponent,
        }  # fmt: skip
        actual = on_host.soft_nms(boxes, scores, labels, **settings)
        compare(actual, soft_nms(boxes, scores, labels, **settings), settings)
