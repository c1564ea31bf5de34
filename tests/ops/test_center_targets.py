"""center_targets: the kernel against the reference, and the reference against corner_targets."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cornernet_ops import center_targets, corner_targets, reference, testing
from tests.ops.test_corner_targets import arguments

BOTH = [
    pytest.param(center_targets, id="native"),
    pytest.param(reference.center_targets, id="reference"),
]


def whole_boxes(count: int) -> Tensor:
    """Boxes of whole, even sizes at whole places, whose centres and sizes are exact."""
    random = torch.Generator().manual_seed(1)
    corner = torch.randint(0, 60, (count, 2), generator=random)
    size = 2 * torch.randint(0, 20, (count, 2), generator=random)
    return torch.cat([corner, corner + size], 1).float()


def test_kernel_matches_reference() -> None:
    testing.assert_matches_reference("center_targets")


@pytest.mark.parametrize("op", BOTH)
@pytest.mark.parametrize(
    "changes", [{}, {"overlap": 0.7, "radius_formula": "2018"}, {"sigma_divisor": 3.5}], ids=str
)
def test_is_a_corner_where_the_centre_is(op: Any, changes: dict[str, Any]) -> None:
    (_, labels, images), numbers = arguments(40, **{"sigma_divisor": 5.0} | changes)
    numbers |= {"scale_y": 0.25, "scale_x": 0.25}
    boxes = whole_boxes(40)
    size = boxes[:, 2:] - boxes[:, :2]
    center = boxes[:, :2] + size / 2
    # Of the same size, and so of the same radius.
    moved = torch.cat([center, center + size], 1)
    heat, _, offset, _, mask, _, cell, _ = corner_targets(moved, labels, images, **numbers)
    found = op(boxes, labels, images, **numbers)
    testing.assert_close(found, (heat, offset, mask, cell))


@pytest.mark.parametrize("op", BOTH)
def test_gaussians_are_wider_than_those_of_corners(op: Any) -> None:
    zero = torch.zeros(1, dtype=torch.int64)
    numbers: dict[str, Any] = {
        "batch": 1, "num_classes": 1, "height": 40, "width": 40, "scale_y": 1.0, "scale_x": 1.0,
        "overlap": 0.3,
    }  # fmt: skip
    box = torch.tensor([[10.0, 10, 30, 30]])
    heat = op(box, zero, zero, **numbers)[0][0, 0]
    corner = corner_targets(box, zero, zero, **numbers)[0][0, 0]
    assert heat[20, 20] == corner[10, 10] == 1
    assert heat[20, 22] > corner[10, 12] > 0
    assert (heat > 0).sum() == (corner > 0).sum()


@settings(derandomize=True, max_examples=40, deadline=None)
@given(
    st.integers(0, 12), st.integers(1, 4), st.integers(1, 5), st.integers(1, 40),
    st.integers(1, 40), st.floats(0.05, 0.95), st.sampled_from(["2018", "2019"]),
    st.integers(0, 1000),
)  # fmt: skip
def test_kernel_is_the_reference_for_any_size(
    count: int, batch: int, classes: int, height: int, width: int, overlap: float, formula: str,
    seed: int,
) -> None:  # fmt: skip
    tensors, numbers = arguments(
        count, seed, batch=batch, num_classes=classes, height=height, width=width, overlap=overlap,
        radius_formula=formula,
    )  # fmt: skip
    found = center_targets(*tensors, **numbers)
    testing.assert_close(found, reference.center_targets(*tensors, **numbers))


def test_opcheck() -> None:
    tensors, numbers = arguments(5)
    torch.library.opcheck(torch.ops.cornernet.center_targets.default, tuple(tensors), numbers)


def test_autocast_leaves_float32() -> None:
    tensors, numbers = arguments(5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = center_targets(*tensors, **numbers)
    testing.assert_identical(found, center_targets(*tensors, **numbers))
