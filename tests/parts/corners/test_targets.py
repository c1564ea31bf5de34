"""Targets against loops over cells and against the meaning of the radius."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from cornernet.parts.corners.structures import Targets
from cornernet.parts.corners.targets import build_targets
from cornernet.parts.crowds import crowd_cells
from cornernet_ops.corner_targets import draw_gaussians, gaussian_radius


def targets(boxes: list[list[float]], labels: list[int], **settings: Any) -> Targets:
    """Targets of one picture; by default 64 × 64 pixels, 16 × 16 cells, 3 classes."""
    given: dict[str, Any] = {
        "num_classes": 3,
        "image_size": (64, 64),
        "map_size": (16, 16),
        **settings,
    }
    return build_targets(
        [torch.tensor(boxes).reshape(-1, 4)], [torch.tensor(labels, dtype=torch.int64)], **given
    )


def overlaps(height: float, width: float, radius: float) -> list[float]:
    """Overlap of a box with itself moved, shrunk and grown by a radius at both corners."""
    area = height * width
    shared = (height - radius) * (width - radius)
    return [
        shared / (2 * area - shared),
        (height - 2 * radius) * (width - 2 * radius) / area,
        area / ((height + 2 * radius) * (width + 2 * radius)),
    ]


@pytest.mark.parametrize("overlap", [0.1, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 40), (12, 7), (100, 100), (128, 1)])
def test_moving_corners_by_the_radius_leaves_just_the_overlap(
    height: int, width: int, overlap: float
) -> None:
    size = torch.tensor([float(height), float(width)], dtype=torch.float64)
    radius = float(gaussian_radius(size[0], size[1], overlap))
    assert min(overlaps(height, width, radius)) == pytest.approx(overlap, abs=1e-9)


def test_radius_of_a_box_without_area_is_zero() -> None:
    zero = torch.zeros((), dtype=torch.float64)
    assert float(gaussian_radius(zero, zero, 0.3)) == 0.0


def gaussian_by_loops(shape: tuple[int, ...], points: list[tuple[int, int, int, int]]) -> Tensor:
    heat = torch.zeros(shape, dtype=torch.float64)
    for plane, y, x, radius in points:
        deviation = (2 * radius + 1) / 6
        for row in range(shape[1]):
            for column in range(shape[2]):
                dy, dx = row - y, column - x
                if max(abs(dy), abs(dx)) <= radius:
                    value = math.exp(-(dy * dy + dx * dx) / (2 * deviation**2))
                    heat[plane, row, column] = max(float(heat[plane, row, column]), value)
    return heat


def test_gaussians_by_loops() -> None:
    points = [(0, 4, 5, 3), (0, 6, 6, 2), (1, 0, 0, 4), (1, 8, 10, 5), (2, 3, 3, 0)]
    heat = torch.zeros(3, 9, 11)
    planes, ys, xs, radii = torch.tensor(points).unbind(1)
    draw_gaussians(heat, planes, ys, xs, radii)
    wanted = gaussian_by_loops((3, 9, 11), points).float()
    torch.testing.assert_close(heat, wanted, rtol=0, atol=1e-6)


def test_gaussian_keeps_higher_values_that_are_there() -> None:
    heat = torch.full((1, 5, 5), 0.99)
    one = torch.tensor([2])
    draw_gaussians(heat, torch.tensor([0]), one, one, one)
    assert float(heat[0, 2, 2]) == 1.0
    assert float(heat[0, 2, 1]) == pytest.approx(0.99)


def test_both_corners_have_height_one_in_their_class_alone() -> None:
    found = targets([[8.0, 12.0, 40.0, 52.0]], [1])
    for heat, y, x in ((found.tl_heat, 3, 2), (found.br_heat, 13, 10)):
        assert (heat == 1).nonzero().tolist() == [[0, 1, y, x]]
        assert float(heat[0, [0, 2]].max()) == 0.0


def test_gaussian_around_a_corner_has_the_radius_of_the_box() -> None:
    # 4 pixels a cell: the box measures 10 × 8 cells.
    found = targets([[8.0, 8.0, 40.0, 48.0]], [0])
    size = torch.tensor([10.0, 8.0], dtype=torch.float64)
    radius = int(gaussian_radius(size[0], size[1], 0.3))
    assert radius > 1
    wanted = gaussian_by_loops((3, 16, 16), [(0, 2, 2, radius)]).float()
    torch.testing.assert_close(found.tl_heat[0], wanted, rtol=0, atol=1e-6)


def test_higher_overlap_draws_smaller_gaussians() -> None:
    box = [[8.0, 8.0, 40.0, 48.0]]
    loose, tight = (targets(box, [0], gaussian_iou=iou).tl_heat.sum() for iou in (0.3, 0.8))
    assert float(tight) < float(loose)


def test_offset_is_what_rounding_down_to_a_cell_loses() -> None:
    found = targets([[9.0, 14.0, 43.0, 52.0]], [0])
    assert found.tl_offset[0, :, 3, 2].tolist() == [0.25, 0.5]
    assert found.br_offset[0, :, 13, 10].tolist() == [0.75, 0.0]
    assert int((found.tl_offset != 0).sum()) == 2


def test_each_axis_has_its_own_scale() -> None:
    # 8 pixels a cell along x, 2 along y.
    found = targets([[20.0, 5.0, 60.0, 21.0]], [0], image_size=(32, 128))
    assert int(found.tl_cell) == 2 * 16 + 2
    assert int(found.br_cell) == 10 * 16 + 7
    assert found.tl_offset[0, :, 2, 2].tolist() == [0.5, 0.5]


def test_corner_on_the_far_edge_lies_in_the_last_cell() -> None:
    found = targets([[32.0, 32.0, 64.0, 64.0]], [2])
    assert int(found.br_cell) == 15 * 16 + 15
    assert found.br_offset[0, :, 15, 15].tolist() == [1.0, 1.0]


def test_corner_outside_the_picture_lies_in_the_nearest_cell() -> None:
    found = targets([[-20.0, 8.0, 90.0, 40.0]], [0])
    assert int(found.tl_cell) == 2 * 16 + 0
    assert int(found.br_cell) == 10 * 16 + 15
    assert float(found.tl_heat[0, 0, 2, 0]) == 1.0


def test_of_two_corners_in_a_cell_the_later_offset_stands() -> None:
    boxes = [[8.0, 8.0, 40.0, 40.0], [9.0, 10.0, 60.0, 60.0]]
    assert targets(boxes, [0, 0]).tl_offset[0, :, 2, 2].tolist() == [0.25, 0.5]
    assert targets(boxes[::-1], [0, 0]).tl_offset[0, :, 2, 2].tolist() == [0.0, 0.0]


def test_mask_counts_a_cell_once_for_all_classes() -> None:
    boxes = [[8.0, 8.0, 40.0, 40.0], [9.0, 10.0, 60.0, 60.0]]
    found = targets(boxes, [0, 1])
    assert int((found.tl_heat == 1).sum()) == 2
    assert found.tl_mask.nonzero().tolist() == [[0, 0, 2, 2]]
    assert int(found.br_mask.sum()) == 2


def test_objects_know_their_picture() -> None:
    boxes = [torch.rand(2, 4), torch.zeros(0, 4), torch.rand(1, 4)]
    labels = [torch.zeros(len(box), dtype=torch.int64) for box in boxes]
    found = build_targets(boxes, labels, 1, (64, 64), (16, 16))
    assert found.image_index.tolist() == [0, 0, 2]


def test_picture_without_objects_has_empty_maps() -> None:
    found = targets([], [])
    assert all(float(item.abs().sum()) == 0 for item in found[:6])
    assert found.tl_heat.shape == (1, 3, 16, 16)
    assert len(found.image_index) == 0


def crowd(boxes: list[list[float]], labels: list[int]) -> torch.Tensor | None:
    """Crowd cells of two pictures of 64 x 32 pixels, 16 x 8 cells; the first has no region."""
    regions = [torch.zeros(0, 4), torch.tensor(boxes).reshape(-1, 4)]
    kinds = [torch.zeros(0, dtype=torch.int64), torch.tensor(labels, dtype=torch.int64)]
    return crowd_cells(regions, kinds, 3, (32, 64), (8, 16))


def test_crowd_covers_every_cell_it_touches_in_its_class_alone() -> None:
    cells = crowd([[5, 8, 17, 12]], [2])
    assert cells is not None and cells.shape == (2, 3, 8, 16)
    assert not cells[0].any() and not cells[1, :2].any()
    wanted = torch.zeros(8, 16, dtype=torch.bool)
    wanted[2:3, 1:5] = True
    assert torch.equal(cells[1, 2], wanted)


def test_crowd_may_reach_beyond_the_picture() -> None:
    cells = crowd([[-20, -20, 900, 900], [70, 0, 90, 8], [-9, 0, -1, 8]], [0, 1, 2])
    assert cells is not None
    assert cells[1, 0].all() and not cells[1, 1].any() and not cells[1, 2].any()


def test_no_crowd_needs_no_cells() -> None:
    assert crowd([], []) is None
    assert crowd_cells([], [], 3, (32, 64), (8, 16)) is None
