"""corner_targets: the kernel against the reference, and the reference against loops over cells."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cornernet_ops import corner_targets, reference, testing
from cornernet_ops.formulas import gaussian_radius

NAMES = (
    "tl_heat", "br_heat", "tl_offset", "br_offset", "tl_mask", "br_mask", "tl_cell", "br_cell"
)  # fmt: skip


def arguments(count: int, seed: int = 0, **changes: Any) -> tuple[list[Any], dict[str, Any]]:
    """Boxes of a batch, some of them beyond its pictures of 100 x 60 pixels."""
    random = torch.Generator().manual_seed(seed)
    given = {"batch": 3, "num_classes": 4, "height": 15, "width": 25, "overlap": 0.3} | changes
    corner = torch.rand(count, 2, generator=random) * torch.tensor([110.0, 70]) - 5
    size = torch.rand(count, 2, generator=random) ** 2 * torch.tensor([90.0, 50])
    labels = torch.randint(0, given["num_classes"], (count,), generator=random)
    images = torch.randint(0, given["batch"], (count,), generator=random)
    scales = {"scale_y": given["height"] / 60, "scale_x": given["width"] / 100}
    return [torch.cat([corner, corner + size], 1), labels, images], given | scales


def by_loops(
    boxes: Tensor, labels: Tensor, images: Tensor, batch: int, num_classes: int, height: int,
    width: int, scale_y: float, scale_x: float, overlap: float, radius_formula: str = "2019",
    sigma_divisor: float = 6.0,
) -> list[Tensor]:  # fmt: skip
    heat = torch.zeros(2, batch, num_classes, height, width)
    offset, mask = torch.zeros(2, batch, 2, height, width), torch.zeros(2, batch, 1, height, width)
    cells = torch.zeros(2, len(boxes), dtype=torch.int64)
    scaled = boxes * torch.tensor([scale_x, scale_y, scale_x, scale_y])
    for i, box in enumerate(scaled):
        size = torch.ceil(box[2:] - box[:2]).double()
        radius = max(0, int(gaussian_radius(size[1], size[0], overlap, radius_formula)))
        sigma = (2 * radius + 1) / sigma_divisor
        image, label = int(images[i]), int(labels[i])
        for kind in (0, 1):
            px, py = (float(v) for v in box[2 * kind : 2 * kind + 2])
            x, y = min(max(int(px), 0), width - 1), min(max(int(py), 0), height - 1)
            for row in range(max(0, y - radius), min(height, y + radius + 1)):
                for column in range(max(0, x - radius), min(width, x + radius + 1)):
                    square = (row - y) ** 2 + (column - x) ** 2
                    value = math.exp(-square / (2 * sigma**2))
                    place = heat[kind, image, label]
                    place[row, column] = max(float(place[row, column]), value)
            offset[kind, image, :, y, x] = torch.tensor([px - x, py - y])
            mask[kind, image, 0, y, x] = 1
            cells[kind, i] = y * width + x
    return [*heat, *offset, *mask, *cells]


def assert_same(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...] | list[Tensor]) -> None:
    for name, one, other in zip(NAMES, found, wanted, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape, name
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6, msg=name)


@pytest.mark.parametrize("op", [corner_targets, reference.corner_targets])
@pytest.mark.parametrize("count", [0, 1, 40])
@pytest.mark.parametrize(
    "changes",
    [
        {"overlap": 0.3},
        {"overlap": 0.7},
        {"overlap": 0.7, "radius_formula": "2018"},
        {"sigma_divisor": 3.5},
    ],
    ids=str,
)
def test_by_loops(op: Any, count: int, changes: dict[str, Any]) -> None:
    tensors, numbers = arguments(count, **changes)
    assert_same(op(*tensors, **numbers), by_loops(*tensors, **numbers))


def test_kernel_is_the_reference() -> None:
    testing.check_cases(
        testing.cases_of("corner_targets"),
        lambda case: assert_same(case.call(corner_targets), case.call(reference.corner_targets)),
    )


@settings(derandomize=True, max_examples=40, deadline=None)
@given(
    st.integers(0, 12), st.integers(1, 4), st.integers(1, 5), st.integers(1, 40),
    st.integers(1, 40), st.floats(0.05, 0.95), st.integers(0, 1000),
)  # fmt: skip
def test_kernel_is_the_reference_for_any_size(
    count: int, batch: int, classes: int, height: int, width: int, overlap: float, seed: int
) -> None:
    tensors, numbers = arguments(
        count, seed, batch=batch, num_classes=classes, height=height, width=width, overlap=overlap
    )
    found = corner_targets(*tensors, **numbers)
    assert_same(found, reference.corner_targets(*tensors, **numbers))
    assert all(bool(value.isfinite().all()) for value in found)


def test_centres_are_exactly_one_and_nothing_else_is() -> None:
    tensors, numbers = arguments(40)
    tl_heat, br_heat, *_, tl_cell, br_cell = corner_targets(*tensors, **numbers)
    for heat, cell in ((tl_heat, tl_cell), (br_heat, br_cell)):
        places = {
            (int(i), int(k), int(c)) for i, k, c in zip(tensors[2], tensors[1], cell, strict=True)
        }
        found = {(int(i), int(k), int(c)) for i, k, c in (heat.flatten(2) == 1).nonzero()}
        assert found == places


def test_of_two_boxes_in_a_cell_the_later_offset_stands() -> None:
    boxes = torch.tensor([[4.5, 4.5, 40, 40], [4.75, 4.25, 20, 20]])
    zero = torch.zeros(2, dtype=torch.int64)
    numbers: dict[str, Any] = {
        "batch": 1,
        "num_classes": 1,
        "height": 60,
        "width": 60,
        "overlap": 0.3,
    }
    results = corner_targets(boxes, zero, zero, **numbers, scale_y=1.0, scale_x=1.0)
    assert results[2][0, :, 4, 4].tolist() == [0.75, 0.25]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("op", [corner_targets, reference.corner_targets])
def test_coordinates_that_are_not_finite_count_as_zero(op: Any, value: float) -> None:
    tensors, numbers = arguments(3)
    spoilt, plain = tensors[0].clone(), tensors[0].clone()
    spoilt[1, 2], plain[1, 2] = value, 0.0
    assert_same(op(spoilt, *tensors[1:], **numbers), op(plain, *tensors[1:], **numbers))


def test_result_is_the_same_for_any_number_of_threads() -> None:
    tensors, numbers = arguments(60)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(corner_targets(*tensors, **numbers))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        testing.assert_identical(other, results[0])


def test_opcheck() -> None:
    tensors, numbers = arguments(5)
    torch.library.opcheck(torch.ops.cornernet.corner_targets.default, tuple(tensors), numbers)


def test_autocast_leaves_float32() -> None:
    tensors, numbers = arguments(5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = corner_targets(*tensors, **numbers)
    testing.assert_identical(found, corner_targets(*tensors, **numbers))


@pytest.mark.parametrize(
    ("width", "height", "radius"), [(24, 10, 2), (48, 20, 5), (30, 24, 6), (25, 10, 3)]
)
def test_radius_at_a_whole_number_is_rounded_as_mmdetection_does(
    width: int, height: int, radius: int
) -> None:
    """The first three are exactly 3, 6 and 6; what counts is what doubles make of it."""
    size = torch.tensor([height, width], dtype=torch.float64)
    assert int(gaussian_radius(size[0], size[1], 0.3)) == radius
    boxes = torch.tensor([[40.0, 40.0, 40.0 + width, 40.0 + height]])
    label, image = torch.zeros(2, 1, dtype=torch.int64)
    heat = corner_targets(
        boxes, label, image, batch=1, num_classes=1, height=128, width=128, scale_y=1.0,
        scale_x=1.0, overlap=0.3,
    )[0][0, 0]  # fmt: skip
    assert int((heat[40] > 0).sum()) == 2 * radius + 1
