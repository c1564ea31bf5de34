"""Every op on every case, on the device: the kernels', or the references' where there are none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import cornernet_ops
from cornernet_ops import testing
from cornernet_ops.soft_nms import METHODS

DEVICE = "sdaa"

# Ops that compute exponentials, whose last bits are each library's own.
ROUNDED = {"corner_targets", "soft_nms"}


def soft_nms_cases(device: str) -> Iterator[testing.Case]:
    """Crowds of boxes in three pictures, with ties and with places that hold no candidate."""
    random = torch.Generator().manual_seed(0)
    corner, size = torch.rand(2, 3, 40, 2, generator=random) * 60 + 1
    boxes = torch.cat([corner, corner + size], 2)
    scores = (torch.rand(3, 40, generator=random) * 16).round() / 16
    labels = torch.randint(-1, 3, (3, 40), generator=random)
    for method in METHODS:
        for exponent in (0.0, 10.0):
            settings = {
                "method": method, "iou_threshold": 0.5, "sigma": 0.5, "min_score": 0.001,
                "max_detections": 20, "merge_exponent": exponent,
            }  # fmt: skip
            given = (boxes.to(device), scores.to(device), labels.to(device))
            yield testing.Case(f"{method} {exponent}", given, settings)


def cases(op: str) -> Iterator[testing.Case]:
    if op == "soft_nms":
        return soft_nms_cases(DEVICE)
    found: Iterator[testing.Case] = getattr(testing, f"{op}_cases")(DEVICE)
    return found


def to_cpu(value: Any) -> Any:
    """Tensors, also within tuples, lists and dicts, on the CPU; strides are kept."""
    if isinstance(value, Tensor):
        return value.cpu()
    if isinstance(value, (list, tuple)):
        return type(value)(to_cpu(item) for item in value)
    if isinstance(value, dict):
        return {key: to_cpu(item) for key, item in value.items()}
    return value


def assert_rounded(actual: Any, expected: Any) -> None:
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("op", sorted(cornernet_ops.reference.__all__))
def test_results_are_those_of_the_cpu(op: str) -> None:
    compare = assert_rounded if op in ROUNDED else testing.assert_identical
    call = getattr(torch.ops.cornernet, op)
    count = 0
    for case in cases(op):
        actual = call(*case.args, **case.kwargs)
        try:
            compare(to_cpu(actual), call(*to_cpu(case.args), **to_cpu(case.kwargs)))
        except AssertionError as error:
            raise AssertionError(f"{op}: {case}: {error}") from None
        count += 1
    assert count > 5
