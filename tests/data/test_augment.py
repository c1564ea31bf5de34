"""Augmentation: what each change does to pixels and boxes, and how it is drawn."""

from __future__ import annotations

import colorsys
import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from cornernet.config import AugmentConfig
from cornernet.data.augment import (
    Crop,
    Photometry,
    augment,
    centre_margin,
    cut,
    distort,
    draw_crop,
    draw_photometry,
    resize,
    resize_sample,
    turn,
)
from cornernet.structures import Sample

FILL = (10.0, 20.0, 30.0)


def sample(
    height: int = 60,
    width: int = 80,
    boxes: Sequence[Sequence[float]] = (),
    crowd: Sequence[Sequence[float]] = (),
) -> Sample:
    """An image whose pixels say where they are: red the column, green the row."""
    image = np.zeros((height, width, 3), np.float32)
    image[..., 0] = np.arange(width)
    image[..., 1] = np.arange(height)[:, None]
    image[..., 2] = 200
    return Sample(
        image,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.arange(len(boxes), dtype=np.int64),
        7,
        "image.png",
        np.array(crowd, np.float32).reshape(-1, 4),
        np.arange(len(crowd), dtype=np.int64) + 4,
    )


def colours(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, (6, 5, 3)).astype(np.float32)


def test_brightness_is_added() -> None:
    image = colours()
    np.testing.assert_allclose(distort(image, Photometry(brightness=-12.5)), image - 12.5)


def test_contrast_is_a_factor() -> None:
    image = colours()
    np.testing.assert_allclose(distort(image, Photometry(contrast=1.5)), image * 1.5)


def test_contrast_comes_after_brightness_in_either_place() -> None:
    image = colours()
    for first in (True, False):
        found = distort(image, Photometry(brightness=3.0, contrast=2.0, contrast_first=first))
        np.testing.assert_allclose(found, (image + 3) * 2, rtol=1e-6)


def test_contrast_before_clipped_saturation_differs_from_after() -> None:
    image = colours()
    changes = [
        Photometry(brightness=-60.0, contrast=0.5, saturation=1.5, contrast_first=first)
        for first in (True, False)
    ]
    brightened = distort(image, dataclasses.replace(changes[0], contrast=None))
    np.testing.assert_allclose(distort(image, changes[1]), brightened * 0.5, rtol=1e-5)


def in_hsv(image: np.ndarray, change: Callable[..., tuple[float, float, float]]) -> np.ndarray:
    """Each pixel changed in HSV by Python's own conversion; hue in degrees."""
    found = np.empty_like(image)
    for place in np.ndindex(image.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*(image[place] / 255).tolist())
        found[place] = colorsys.hsv_to_rgb(*change(hue, saturation, value))
    return found * 255


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.3])
def test_saturation_is_a_factor_cut_at_one(factor: float) -> None:
    image = colours()
    wanted = in_hsv(image, lambda h, s, v: (h, min(1.0, s * factor), v))
    found = distort(image, Photometry(saturation=factor))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=0.05)


@pytest.mark.parametrize("degrees", [-18.0, 7.5, 18.0])
def test_hue_is_turned_around_the_circle(degrees: float) -> None:
    image = colours()
    wanted = in_hsv(image, lambda h, s, v: ((h + degrees / 360) % 1, s, v))
    found = distort(image, Photometry(hue=degrees))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=0.05)


# An image of one pixel is a special case of OpenCV, and vectors are for longer rows.
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (6, 5), (3, 70)])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_all_changes_together_are_those_one_after_another(
    size: tuple[int, int], order: tuple[int, int, int]
) -> None:
    image = np.random.default_rng(0).uniform(0, 255, (*size, 3)).astype(np.float32)
    change = Photometry(20.0, 0.75, order[0] == 0, 1.4, -14.0, order)
    found = distort(image, change)
    assert found.shape == (*size, 3) and found.dtype == np.float32
    steps = in_hsv((image + 20) * 0.75, lambda h, s, v: ((h - 14 / 360) % 1, min(1.0, s * 1.4), v))
    np.testing.assert_allclose(found, steps[..., list(order)], rtol=0, atol=0.01)


def test_channels_are_put_in_the_stated_order() -> None:
    image = colours()
    found = distort(image, Photometry(channels=(2, 0, 1)))
    np.testing.assert_array_equal(found, image[..., [2, 0, 1]])


def test_colour_changes_leave_the_given_image_alone() -> None:
    image = colours()
    before = image.copy()
    distort(image, Photometry(5.0, 1.2, True, 1.2, 5.0, (1, 2, 0)))
    np.testing.assert_array_equal(image, before)


def test_each_colour_change_happens_half_of_the_time_within_its_limits() -> None:
    config, rng = AugmentConfig(), np.random.default_rng(0)
    draws = [draw_photometry(config, rng) for _ in range(2000)]
    limits = {
        "brightness": (-32.0, 32.0),
        "contrast": (0.5, 1.5),
        "saturation": (0.5, 1.5),
        "hue": (-18.0, 18.0),
    }
    for name, (low, high) in limits.items():
        values = [value for draw in draws if (value := getattr(draw, name)) is not None]
        assert abs(len(values) - 1000) < 100, name  # 4.5 standard deviations
        assert low <= min(values) < low + 0.1 * (high - low), name
        assert high - 0.1 * (high - low) < max(values) <= high, name
    assert abs(sum(draw.contrast_first for draw in draws) - 1000) < 100
    orders = [draw.channels for draw in draws if draw.channels is not None]
    assert abs(len(orders) - 1000) < 100
    assert len(set(orders)) == 6


def test_disabled_colour_changes_never_happen() -> None:
    config = AugmentConfig(
        brightness=0.0, contrast=[1, 1], saturation=[1, 1], hue=0.0, swap_channels=False
    )
    rng = np.random.default_rng(0)
    for _ in range(50):
        draw = dataclasses.replace(draw_photometry(config, rng), contrast_first=True)
        assert draw == Photometry()


def margin_by_halving(border: int, size: int) -> int:
    margin = border
    while size - margin <= margin:
        margin //= 2
    return margin


@pytest.mark.parametrize("border", [16, 64, 128])
def test_margin_is_the_border_halved_until_a_centre_fits(border: int) -> None:
    for size in range(2, 700):
        assert centre_margin(border, size) == margin_by_halving(border, size)


@pytest.mark.parametrize("border", [1, 20, 100, 128])
def test_margin_leaves_a_centre_in_an_image_of_any_size(border: int) -> None:
    for size in range(1, 300):
        assert 0 <= 2 * centre_margin(border, size) < size


def test_crop_shows_the_surroundings_of_its_centre() -> None:
    found = cut(sample(), Crop(20, (40, 30)), FILL).image
    assert found.shape == (20, 20, 3)
    np.testing.assert_array_equal(found[..., 0], np.tile(np.arange(30, 50), (20, 1)))
    np.testing.assert_array_equal(found[:, 0, 1], np.arange(20, 40))


def test_crop_is_filled_where_it_leaves_the_image() -> None:
    found = cut(sample(), Crop(40, (10, 55)), FILL).image
    # The image's pixel (10, 55) stands at (20, 20): columns 0-9 and rows 25-39 are outside.
    np.testing.assert_array_equal(found[20, 20], [10, 55, 200])
    assert (found[:, :10] == FILL).all() and (found[25:] == FILL).all()
    assert (found[:25, 10:, 2] == 200).all()


def test_boxes_move_with_their_pixels() -> None:
    box = [34, 26, 41, 33]
    found = cut(sample(boxes=[box]), Crop(24, (40, 30)), FILL)
    x1, y1, x2, y2 = found.boxes[0].astype(int)
    np.testing.assert_array_equal(found.image[y1, x1], [34, 26, 200])
    np.testing.assert_array_equal(found.image[y2 - 1, x2 - 1], [40, 32, 200])


def test_boxes_are_clipped_to_the_crop() -> None:
    found = cut(sample(boxes=[[20, 10, 60, 50]]), Crop(20, (40, 30)), FILL)
    assert found.boxes.tolist() == [[0, 0, 20, 20]]


def test_boxes_whose_centre_is_cut_away_go() -> None:
    boxes = [[20, 20, 60, 40], [0, 0, 38, 58], [48, 28, 54, 32], [44, 28, 54, 32]]
    # The crop shows columns 30 to 50 and rows 20 to 40.
    found = cut(sample(boxes=boxes), Crop(20, (40, 30)), FILL)
    assert found.labels.tolist() == [0, 3]


def test_slivers_without_area_go() -> None:
    found = cut(sample(boxes=[[35, 25, 35, 30], [35, 25, 36, 30]]), Crop(20, (40, 30)), FILL)
    assert found.labels.tolist() == [1]
    assert found.boxes.tolist() == [[5, 5, 6, 10]]


def test_crowds_are_moved_clipped_and_kept_by_their_area() -> None:
    crowd = [[0, 0, 10, 10], [0, 0, 35, 80], [78, 0, 80, 2]]
    found = cut(sample(crowd=crowd), Crop(20, (40, 30)), FILL)
    assert found.crowd_boxes.tolist() == [[0, 0, 5, 20]]
    assert found.crowd_labels.tolist() == [5]


def scripted(centres: list[int]) -> Callable[[int, int], int]:
    draws = iter(centres)
    return lambda low, high: next(draws)


def test_crop_is_drawn_again_until_it_holds_a_centre() -> None:
    config = AugmentConfig(crop_size=20, crop_ratios=[1.0], crop_border=4)
    found = draw_crop(
        sample(boxes=[[68, 48, 78, 58]]),
        config,
        scripted([10, 10, 40, 30, 70, 50]),
        lambda options: options[0],
    )
    assert found == Crop(20, (70, 50))


def test_image_without_boxes_takes_the_first_draw() -> None:
    config = AugmentConfig(crop_size=20, crop_ratios=[1.0], crop_border=4)
    found = draw_crop(sample(), config, scripted([10, 11]), lambda options: options[0])
    assert found == Crop(20, (10, 11))


def test_centre_keeps_each_axis_own_margin() -> None:
    asked: list[tuple[int, int]] = []

    def integers(low: int, high: int) -> int:
        asked.append((low, high))
        return low

    config = AugmentConfig(crop_size=32, crop_border=16)
    draw_crop(sample(height=20, width=80), config, integers, lambda options: options[0])
    assert asked == [(16, 64), (8, 12)]  # 16 from both edges leaves nothing of 20 rows


def test_side_of_a_crop_is_one_of_the_ratios_rounded_down() -> None:
    config = AugmentConfig(crop_size=63, crop_ratios=[0.6, 1.3], crop_border=4)
    chosen: list[Callable[[Sequence[float]], float]] = [min, max]
    sides = {draw_crop(sample(), config, scripted([9, 9]), choose).side for choose in chosen}
    assert sides == {37, 81}


def test_box_that_no_allowed_centre_reaches_is_put_in_the_middle() -> None:
    config = AugmentConfig(crop_size=16, crop_ratios=[1.0], crop_border=16)
    original = sample(400, 400, boxes=[[0, 0, 4, 4]])
    rng = np.random.default_rng(0)
    crop = draw_crop(original, config, lambda a, b: int(rng.integers(a, b)), lambda o: o[0])
    found = cut(original, crop, FILL)
    assert found.image.shape == (16, 16, 3)
    assert found.boxes.tolist() == [[6, 6, 10, 10]]


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (30, 1), (60, 80)])
@pytest.mark.parametrize(
    "change",
    [
        Photometry(),
        Photometry(brightness=9.0, contrast=1.2, channels=(1, 0, 2)),
        Photometry(contrast=0.7, saturation=1.3, hue=-9.0, channels=(2, 1, 0)),
    ],
)
def test_colours_are_changed_in_a_crop_as_in_the_image_and_not_around_it(
    size: tuple[int, int], change: Photometry
) -> None:
    height, width = size
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    original = dataclasses.replace(sample(), image=image)
    crop = Crop(35, (width // 2, height // 2))
    found = cut(original, crop, FILL, change).image
    left, top, right, bottom = crop.window(*size)
    x, y = 17 - width // 2 + left, 17 - height // 2 + top
    inside = np.s_[y : y + bottom - top, x : x + right - left]
    np.testing.assert_allclose(
        found[inside], distort(image[top:bottom, left:right], change), rtol=1e-6, atol=1e-4
    )
    found[inside] = FILL
    assert (found == FILL).all()


@pytest.mark.parametrize("side", [20, 21])
@pytest.mark.parametrize("centre", [(40, 30), (5, 55)])
def test_a_mirrored_crop_is_the_crop_seen_in_a_mirror(side: int, centre: tuple[int, int]) -> None:
    x, y = centre
    box = [x - 4, y - 4, x + 3, y + 2]
    original = sample(boxes=[box, [0, 0, 2, 2]], crowd=[box])
    plain = cut(original, Crop(side, centre), FILL)
    found = cut(original, Crop(side, centre), FILL, mirrored=True)
    np.testing.assert_array_equal(found.image, plain.image[:, ::-1])
    x1, y1, x2, y2 = plain.boxes[0].tolist()
    assert found.boxes.tolist() == found.crowd_boxes.tolist() == [[side - x2, y1, side - x1, y2]]
    assert found.labels.tolist() == [0] and found.crowd_labels.tolist() == [4]


def test_resized_boxes_stay_on_their_pixels() -> None:
    original = sample(60, 80, boxes=[[20, 15, 60, 45]], crowd=[[0, 0, 80, 60]])
    found = resize_sample(original, (90, 40))
    assert found.image.shape == (90, 40, 3)
    assert found.boxes.tolist() == [[10, 22.5, 30, 67.5]]
    assert found.crowd_boxes.tolist() == [[0, 0, 40, 90]]
    assert found.crowd_labels.tolist() == [4]


def test_enlarging_is_bilinear_between_pixel_centres() -> None:
    found = resize(np.array([[0.0, 100.0]], np.float32), (1, 4))
    np.testing.assert_allclose(found, [[0, 25, 75, 100]])


def test_shrinking_by_half_or_more_averages_all_pixels() -> None:
    image = np.random.default_rng(0).uniform(0, 255, (12, 16)).astype(np.float32)
    found = resize(image, (3, 4))
    np.testing.assert_allclose(found, image.reshape(3, 4, 4, 4).mean((1, 3)), rtol=1e-4)


CONFIG = AugmentConfig(crop_size=32, crop_border=8)


@pytest.mark.parametrize("size", [(20, 90), (60, 80), (300, 40)])
def test_augmented_image_has_the_crop_size_and_boxes_inside_it(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    original = sample(*size, boxes=[[2, 3, 15, 17], [20, 5, 38, 19]])
    original.image = original.image.astype(np.uint8)
    for _ in range(30):
        found = augment(original, CONFIG, FILL, rng)
        assert found.image.shape == (32, 32, 3) and found.image.dtype == np.float32
        assert found.boxes.dtype == np.float32 and len(found.boxes) == len(found.labels) > 0
        assert (found.boxes >= 0).all() and (found.boxes <= 32).all()
        assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
        assert (found.image_id, found.path) == (7, "image.png")


def test_augmentation_follows_its_random_numbers_alone() -> None:
    original = sample(boxes=[[2, 3, 15, 17]])
    twins = [augment(original, CONFIG, FILL, np.random.default_rng(5)) for _ in range(2)]
    other = augment(original, CONFIG, FILL, np.random.default_rng(6))
    np.testing.assert_array_equal(twins[0].image, twins[1].image)
    np.testing.assert_array_equal(twins[0].boxes, twins[1].boxes)
    assert not np.array_equal(twins[0].image, other.image)


@pytest.mark.parametrize(
    ("probability", "least", "most"), [(0.0, 0, 0), (0.5, 70, 130), (1, 200, 200)]
)
def test_flip_happens_with_its_probability(probability: float, least: int, most: int) -> None:
    config = dataclasses.replace(
        CONFIG, flip=probability, brightness=0.0, contrast=[1, 1], saturation=[1, 1], hue=0.0,
        swap_channels=False, crop_ratios=[1.0],
    )  # fmt: skip
    rng = np.random.default_rng(0)
    # Red rises to the right in the image, so it falls where the image was mirrored.
    images = [augment(sample(), config, FILL, rng).image for _ in range(200)]
    flipped = sum(float(np.diff(image[16, 8:24, 0]).mean()) < 0 for image in images)
    assert least <= flipped <= most


def test_augmentation_leaves_the_given_image_alone() -> None:
    original = sample(boxes=[[2, 3, 15, 17]])
    image, boxes = original.image.copy(), original.boxes.copy()
    augment(original, CONFIG, FILL, np.random.default_rng(1))
    np.testing.assert_array_equal(original.image, image)
    np.testing.assert_array_equal(original.boxes, boxes)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_boxes_turn_with_the_image(quarters: int) -> None:
    before = sample(20, 20, [[5, 2, 17, 7]], [[5, 2, 17, 7]])
    before.image[:] = 0
    before.image[2:7, 5:17] = 255
    turned = turn(before, quarters)
    rows, columns = np.nonzero(turned.image[..., 0])
    tight = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert turned.boxes.tolist() == turned.crowd_boxes.tolist() == [tight]
    assert turned.image.flags.c_contiguous


def test_quarter_turns_are_all_drawn_and_leave_the_other_changes_as_they_are() -> None:
    config = dataclasses.replace(CONFIG, flip=0.0)
    before = sample(boxes=[[10, 10, 50, 50]])
    wanted = [augment(before, config, FILL, np.random.default_rng(seed)) for seed in range(12)]
    turns = dataclasses.replace(config, quarter_turns=True)
    found = [augment(before, turns, FILL, np.random.default_rng(seed)) for seed in range(12)]
    quarters = [
        next(k for k in range(4) if np.array_equal(np.rot90(plain.image, k), turned.image))
        for plain, turned in zip(wanted, found, strict=True)
    ]
    assert set(quarters) == {0, 1, 2, 3}
