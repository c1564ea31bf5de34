"""Boxes of segmentations, which annotations may have instead of boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cornernet.data.fields import mask_box, polygon_box, segmentation_box


@pytest.mark.parametrize(
    "polygons",
    [
        [[1, 2, 5, 2, 5, 9], [0, 3, 1, 3, "1", 4]],
        [[1, 2, 5, 2, 5, 9], [], [0, 3, 1, 3, "1", 4]],
        [0, 2, 5, 2, 5, 9],
        [[0, 2], [5, 2], [5, 9]],
        [[[0, 2], [5, 2], [5, 9]]],
    ],
)
def test_a_box_is_made_of_polygons(polygons: Any) -> None:
    assert segmentation_box(polygons) == [0, 2, 5, 7]


@pytest.mark.parametrize(
    "bad",
    [None, [], [[]], "text", [[1, 2, 3]], [[1, 2, 3, "x", 5, 6]], [1, 2, 3, 4], [[[[1, 2] * 9]]],
     [[1, 2, 3, 4, 5, 6], None]],
)  # fmt: skip
def test_other_things_are_no_polygons(bad: Any) -> None:
    assert polygon_box(bad) is None


def masks() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    found = [rng.random((height, width)) < 0.3 for height, width in ((7, 5), (300, 200))]
    found.append(np.eye(1, 9, 4, dtype=bool))
    ring = np.zeros((64, 48), bool)
    ring[10:30, 5:40] = True
    ring[12:28, 7:38] = False
    return [*found, ring, np.ones((3, 4), bool)]


@pytest.mark.parametrize("mask", masks(), ids=lambda mask: str(mask.shape))
def test_the_box_of_a_mask_is_that_of_its_pixels(mask: np.ndarray) -> None:
    from pycocotools import mask as coco

    rows, columns = np.nonzero(mask)
    x, y = columns.min(), rows.min()
    wanted = [x, y, columns.max() - x + 1, rows.max() - y + 1]
    compressed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert segmentation_box(compressed | {"counts": compressed["counts"].decode()}) == wanted
    flat = np.concatenate([[False], mask.ravel(order="F"), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    runs = np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()
    assert mask_box({"counts": runs, "size": list(mask.shape)}) == wanted


@pytest.mark.parametrize(
    "mask",
    [
        {},
        {"counts": [1, 3], "size": [2]},
        {"counts": [1, 4], "size": [2, 2]},
        {"counts": [4], "size": [2, 2]},
        {"counts": [5, -1], "size": [2, 2]},
        {"counts": "\u1234", "size": [2, 2]},
        {"counts": "o", "size": [2, 2]},
        {"counts": "o" * 99, "size": [2, 2]},
        {"counts": ["x"], "size": [2, 2]},
        {"counts": [0, 4], "size": ["a", 2]},
        {"counts": [], "size": [0, 0]},
    ],
)
def test_a_broken_or_empty_mask_has_no_box(mask: dict[str, Any]) -> None:
    assert mask_box(mask) is None
