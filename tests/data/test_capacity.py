"""How many objects a network's maps hold, against counts by hand."""

from __future__ import annotations

from cornernet.config import Config, config_from_dict
from cornernet.data.capacity import capacity

from .records import record

STRIDE = 4


def settings(**test: int) -> Config:
    return config_from_dict({"test": test})


def test_objects_of_a_class_in_the_same_cells_are_one() -> None:
    boxes = [[1, 1, 41, 41], [2, 2, 42, 42], [2, 2, 46, 42]]
    found = capacity([record(boxes), record(boxes)], settings(), 0)
    assert (found.objects, found.merged, found.representable) == (6, 2, 4)
    assert (found.shared, found.stride, found.beyond, found.thin) == (6, STRIDE, 0, 0)


def test_objects_of_two_classes_share_cells_and_can_be_found() -> None:
    found = capacity([record([[1, 1, 41, 41], [2, 2, 42, 42]], [0, 1])], settings(), 0)
    assert (found.merged, found.shared, found.representable) == (0, 2, 2)


def test_a_corner_of_another_kind_or_image_is_no_neighbour() -> None:
    images = [record([[0, 0, 40, 40], [40, 40, 80, 80]]), record([[0, 0, 40, 40]])]
    assert capacity(images, settings(), 0).shared == 0


def test_a_smaller_image_brings_corners_together() -> None:
    images = [record([[0, 0, 40, 40], [8, 8, 48, 48]], width=640, height=480)]
    assert [capacity(images, settings(), side).merged for side in (0, 640, 160, 100)] == [
        0,
        0,
        0,
        1,
    ]
    assert capacity(images, settings(), 64).thin == 0
    assert capacity(images, settings(), 63).thin == 2


def test_what_is_over_the_number_kept_per_image_is_lost() -> None:
    boxes = [[20 * place, 0, 20 * place + 16, 16] for place in range(30)]
    many, few = record(boxes), record(boxes[:5])
    found = capacity([many, few], settings(topk=12, max_per_image=100), 0)
    assert (found.beyond, found.representable) == (18, 17)
    assert capacity([many, few], settings(topk=100, max_per_image=20), 0).beyond == 10


def test_images_without_objects_hold_none() -> None:
    assert capacity([record([])], settings(), 160).representable == 0
    assert capacity([], settings(), 160).objects == 0


def test_the_sentence_has_the_numbers() -> None:
    text = str(capacity([record([[0, 0, 40, 40], [1, 1, 41, 41]])], settings(), 160))
    assert "160 px" in text and "1 of 2 objects" in text
