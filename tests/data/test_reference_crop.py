"""Training images cut around an object, at its size."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from cornernet.config import AugmentConfig, load_recipe, with_overrides
from cornernet.data.augment import Crop
from cornernet.data.coco import CocoDataset
from cornernet.data.loader import AugmentedDataset
from cornernet.data.reference_crop import (
    augment_around_reference,
    cut_at_scale,
    draw_scale,
    draw_square,
    within,
)
from cornernet.structures import Sample
from tests.errors import raises

SIZES = [32, 96, 256]
CONFIG = AugmentConfig(crop_size=255, sampling="reference")
BLACK = (0.0, 0.0, 0.0)


def sample(height: int = 200, width: int = 300, **fields: Any) -> Sample:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    boxes = np.array([[20, 30, 60, 45], [100, 20, 290, 180]], np.float32)
    return Sample(image, boxes, np.array([1, 0]), 7, "a.png", **fields)


def highest(low: int, high: int) -> int:
    return high - 1


def lowest(low: int, high: int) -> int:
    return low


@pytest.mark.parametrize(
    ("side", "limits"),
    [(2, (16, 32)), (32, (16, 32)), (32.5, (32, 96)), (96, (32, 96)), (97, (96, 254))],
)
def test_an_object_keeps_its_class_of_sizes(side: float, limits: tuple[int, int]) -> None:
    boxes = np.array([[0, 0, side / 2, side]], np.float32)
    scales = [draw_scale(boxes, CONFIG, SIZES, draw) for draw in (lowest, highest)]
    assert [index for index, _ in scales] == [0, 0]
    assert [scale * side for _, scale in scales] == pytest.approx(limits)


@pytest.mark.parametrize(
    "word",
    ["--augment.crop_size=48", "--augment.smallest_object=20", "--model.object_sizes=[4,48]"],
)
def test_classes_of_sizes_that_do_not_fit_the_square_are_refused(word: str) -> None:
    settings = ["--model.parts=[corners]", word]
    with raises("where augment.sampling is reference", field="augment.crop_size"):
        with_overrides(load_recipe("tiny_saccade"), settings)


def test_an_image_without_objects_is_resized_by_a_factor() -> None:
    nothing = np.zeros((0, 4), np.float32)
    assert draw_scale(nothing, CONFIG, SIZES, lowest) == (None, 0.5)
    assert draw_scale(nothing, CONFIG, SIZES, highest) == (None, 1.1)


@pytest.mark.parametrize("coin", [0.2, 0.8])
def test_the_square_holds_the_object_or_its_middle(coin: float) -> None:
    rng = np.random.default_rng(0)

    def integers(low: int, high: int) -> int:
        return int(rng.integers(low, high))

    for _ in range(300):
        width, height = int(rng.integers(200, 900)), int(rng.integers(200, 900))
        x, y = rng.uniform(0, width - 100), rng.uniform(0, height - 100)
        box = np.array([x, y, x + rng.uniform(16, 100), y + rng.uniform(16, 100)])
        crop = draw_square((height, width), box, 255, integers, lambda: coin)
        for axis, length in enumerate((width, height)):
            if length <= 255:
                assert crop.centre[axis] == length // 2
            elif coin > 0.5:
                middle = (box[axis] + box[axis + 2]) / 2
                assert abs(crop.centre[axis] - middle) <= 16
            else:
                start = crop.centre[axis] - 127
                assert 0 <= start <= length - 255
                assert start <= box[axis] and box[axis + 2] <= start + 256


def test_a_square_without_an_object_lies_anywhere_in_the_image() -> None:
    assert draw_square((300, 500), None, 255, lowest, lambda: 0.9).centre == (127, 127)
    assert draw_square((300, 500), None, 255, highest, lambda: 0.9).centre == (372, 172)


def test_of_an_enlarged_image_the_window_is_what_the_whole_would_show() -> None:
    small = sample(40, 50)
    crop = Crop(101, (120, 90))
    found = cut_at_scale(small, 4.0, crop, CONFIG, BLACK).image
    import cv2

    whole = cv2.resize(small.image, (200, 160), interpolation=cv2.INTER_LINEAR)
    window = whole[90 - 50 : 90 + 50, 120 - 50 : 120 + 50]
    np.testing.assert_allclose(found[:100, :100], window, atol=1.5)
    assert not found[100:].any() and not found[:, 100:].any()


def test_boxes_and_colour_around_the_image() -> None:
    found = cut_at_scale(sample(), 0.5, Crop(255, (75, 50)), CONFIG, (1, 2, 3))
    # The image of 150 × 100 lies at x from 52, y from 77 on.
    assert found.image[0, 0].tolist() == [1, 2, 3]
    assert found.boxes.tolist() == [[62, 92, 82, 99.5], [102, 87, 197, 167]][:2]
    assert found.labels.tolist() == [1, 0]
    mirrored = cut_at_scale(sample(), 0.5, Crop(255, (75, 50)), CONFIG, (1, 2, 3), mirrored=True)
    np.testing.assert_array_equal(mirrored.image, found.image[:, ::-1])
    assert mirrored.boxes[0].tolist() == [254 - 82, 92, 254 - 62, 99.5]


def test_objects_that_are_cut_off_or_small_become_difficult() -> None:
    # Of the second box 0.53 of the width is in the square, then 0.45.
    kept = cut_at_scale(sample(), 1.0, Crop(255, (73, 100)), CONFIG, BLACK)
    assert kept.boxes.shape == (2, 4) and not len(kept.difficult_boxes)
    cut = cut_at_scale(sample(), 1.0, Crop(255, (58, 100)), CONFIG, BLACK)
    assert cut.labels.tolist() == [1] and cut.difficult_labels.tolist() == [0]
    assert cut.difficult_boxes[0].tolist() == [169, 47, 253, 207]
    small = cut_at_scale(sample(), 0.38, Crop(255, (57, 38)), CONFIG, BLACK)
    assert small.difficult_labels.tolist() == [1] and small.labels.tolist() == [0]
    larger = dataclasses.replace(CONFIG, smallest_object=15)
    assert len(cut_at_scale(sample(), 0.38, Crop(255, (57, 38)), larger, BLACK).boxes) == 2


def test_objects_outside_the_square_are_gone() -> None:
    found = cut_at_scale(sample(), 1.0, Crop(31, (280, 20)), CONFIG, BLACK)
    assert not len(found.boxes) and len(found.difficult_boxes) == 1


def test_crowds_are_moved_and_clipped() -> None:
    crowds = np.array([[0, 0, 100, 100], [250, 150, 300, 200]], np.float32)
    full = sample(crowd_boxes=crowds, crowd_labels=np.array([0, 2]))
    found = cut_at_scale(full, 1.0, Crop(255, (127, 127)), CONFIG, BLACK)
    assert found.crowd_boxes.tolist() == [[0, 0, 100, 100], [250, 150, 253, 199]]
    assert found.crowd_labels.tolist() == [0, 2]


def test_boxes_that_leave_the_image_are_clipped_before() -> None:
    full = sample()
    full.boxes = np.array([[-10, 5, 20, 500], [299.5, 0, 320, 10]], np.float32)
    found = within(full)
    assert found.boxes.tolist() == [[0, 5, 20, 199]] and found.labels.tolist() == [1]


@pytest.mark.parametrize("turns", [False, True])
def test_any_image_gives_a_square_with_boxes_inside(turns: bool) -> None:
    rng = np.random.default_rng(0)
    config = dataclasses.replace(CONFIG, crop_size=127, quarter_turns=turns)
    for _ in range(40):
        height, width = (int(value) for value in rng.integers(1, 500, 2))
        full = sample(height, width)
        found = augment_around_reference(full, config, SIZES, BLACK, rng)
        assert found.image.shape == (127, 127, 3) and found.image.dtype == np.float32
        for boxes in (found.boxes, found.difficult_boxes):
            assert (boxes >= 0).all() and (boxes <= 127).all()
            assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_the_loader_draws_the_same_again(tmp_path: Any) -> None:
    from cornernet.data.synthetic import synthesize

    synthesize(tmp_path / "shapes", train=2, val=1, seed=1)
    config = with_overrides(load_recipe("tiny_saccade"), ["--data.long_side", "0"])
    data = CocoDataset(tmp_path / "shapes", "train")
    first, again = (AugmentedDataset(data, config)[3, 1] for _ in range(2))
    other = AugmentedDataset(data, config)[4, 1]
    assert isinstance(first, Sample) and isinstance(again, Sample) and isinstance(other, Sample)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.boxes, again.boxes)
    assert first.image.shape == (127, 127, 3) and not np.array_equal(first.image, other.image)
