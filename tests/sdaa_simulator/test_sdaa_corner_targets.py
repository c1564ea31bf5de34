"""The kernel of corner_targets and center_targets for SDAA, run by its launcher in the simulator,
against the CPU's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cornernet_ops import center_targets, corner_targets, testing
from tests.sdaa_simulator.launchers import Launchers

Targets = Callable[..., "tuple[Tensor, ...]"]


@pytest.fixture
def targets(launchers: Launchers) -> Targets:
    return launchers.targets


def assert_same(found: tuple[Tensor, ...], expected: tuple[Tensor, ...], heats: int = 2) -> None:
    """Heat up to the last bits of the exponential, all else bit for bit."""
    for one, other in zip(found[:heats], expected[:heats], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    testing.assert_identical(found[heats:], tuple(expected[heats:]))


def test_every_case_is_that_of_the_cpu(targets: Targets) -> None:
    for case in testing.cases_of("corner_targets"):
        expected = corner_targets(*case.args, **case.kwargs)
        assert_same(targets(*case.args, **case.kwargs), expected)


def test_every_case_of_centres_is_that_of_the_cpu(launchers: Launchers) -> None:
    for case in testing.cases_of("center_targets"):
        assert_same(case.call(launchers.center_targets), case.call(center_targets), heats=1)


def batch_of(
    count: int, seed: int = 0, **changes: Any
) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
    numbers: dict[str, Any] = {
        "batch": 3,
        "num_classes": 80,
        "height": 128,
        "width": 128,
        "overlap": 0.3,
    }
    numbers |= {"scale_y": 0.25, "scale_x": 0.25} | changes
    random = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=random) * 400
    boxes = torch.cat([corner, corner + torch.rand(count, 2, generator=random) * 200], 1)
    labels = torch.randint(0, numbers["num_classes"], (count,), generator=random)
    pictures = torch.randint(0, numbers["batch"], (count,), generator=random)
    return (boxes, labels, pictures), numbers


@pytest.mark.parametrize(
    ("count", "changes"),
    [
        (1500, {"num_classes": 2}),  # more corners than are in a scratchpad at once
        (40, {"num_classes": 1, "height": 300, "width": 301, "scale_x": 0.6}),
        (20, {"num_classes": 1, "batch": 1, "height": 3, "width": 9001, "scale_x": 17.0}),
        (20, {"num_classes": 1, "batch": 1, "height": 9001, "width": 3, "scale_y": 17.0}),
        (5, {"num_classes": 1, "batch": 1, "height": 1, "width": 1}),
        (40, {"batch": 40, "num_classes": 3, "height": 5, "width": 7}),
    ],
    ids=str,
)
def test_every_size_works(targets: Targets, count: int, changes: dict[str, Any]) -> None:
    tensors, numbers = batch_of(count, **changes)
    assert_same(targets(*tensors, **numbers), corner_targets(*tensors, **numbers))


def test_boxes_of_no_class_or_picture_are_left_out(targets: Targets) -> None:
    (boxes, labels, pictures), numbers = batch_of(30, height=20, width=20, num_classes=3)
    labels[::5] = 3
    labels[1::5] = -1
    pictures[2::5] = 3
    good = (labels >= 0) & (labels < 3) & (pictures < 3)
    expected = corner_targets(boxes[good], labels[good], pictures[good], **numbers)
    assert_same(targets(boxes, labels, pictures, **numbers)[:6], expected[:6])
