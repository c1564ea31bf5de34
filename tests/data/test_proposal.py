"""The settings that are proposed for a dataset follow the rule in docs/data.md."""

from __future__ import annotations

from typing import Any

import pytest

from cornernet.config import Config, load_recipe
from cornernet.data.capacity import capacity
from cornernet.data.parse import Record
from cornernet.data.proposal import Proposal, propose

from .records import record, scattered

TINY = load_recipe("tiny")  # long_side 160, crops of 128, 50 epochs
LARGE = load_recipe("cornernet_hourglass104_8xb6-210e-mstest_coco")


def proposed(records: list[Record], config: Config = TINY, **more: Any) -> Proposal:
    found = propose(records, config, 32 if config is TINY else 128, **more)
    assert found is not None
    return found


def sizes(found: Proposal) -> list[int]:
    return [found.settings[f"{name}"] for name in ("data.long_side", "augment.crop_size")]


def test_large_animals_keep_the_size_and_are_seen_whole() -> None:
    found = proposed(scattered(160, (300, 620), objects=1, size=(650, 417)))
    assert sizes(found) == [160, 160]
    assert found.settings["train.epochs"] == 125


def test_blood_cells_get_the_size_that_was_found_by_hand() -> None:
    # Of BCCD: a tenth of the cells measure up to 80 px in 640, half of them up to 102.
    found = proposed(scattered(205, (75, 125), objects=13))
    assert sizes(found) == [320, 256]
    assert found.settings["augment.crop_border"] == 128
    assert found.settings["train.epochs"] == 100


def test_tiny_objects_want_as_many_pixels_as_there_are() -> None:
    assert sizes(proposed(scattered(50, (8, 14)))) == [640, 512]
    assert sizes(proposed(scattered(50, (8, 14), size=(1000, 800))))[0] == 4 * 160
    assert sizes(proposed(scattered(50, (4, 6), size=(300, 300)))) == [300, 256]


def test_small_images_are_enlarged_to_the_recipes_size_alone() -> None:
    assert sizes(proposed(scattered(50, (5, 9), size=(90, 60)))) == [160, 128]


def test_a_tenth_of_small_objects_decides() -> None:
    large, small = record([[0, 0, 300, 300]]), record([[0, 0, 25, 25]])
    wanted = {0: 160, 1: 160, 3: 416}
    for number, size in wanted.items():
        assert sizes(proposed([large] * 17 + [small] * number))[0] == size


def test_objects_that_coincide_want_a_larger_size() -> None:
    pair = [[100.0, 100.0, 260.0, 260.0], [106.0, 106.0, 266.0, 266.0]]
    images = [record(pair)] * 50
    found = proposed(images)
    assert capacity(images, TINY, 160).merged > 0
    assert found.settings["data.long_side"] > 160
    assert found.capacity.merged == 0


@pytest.mark.parametrize(
    ("images", "epochs"), [(1, 300), (66, 300), (67, 300), (100, 200), (400, 50), (5000, 50)]
)
def test_few_images_are_seen_more_often(images: int, epochs: int) -> None:
    records = [record([[0, 0, 300, 300]])] * images
    assert proposed(records).settings["train.epochs"] == epochs


def test_images_that_are_held_out_or_empty_are_not_counted() -> None:
    records = [record([[0, 0, 300, 300]])] * 100 + [record([])] * 900
    assert proposed(records).settings["train.epochs"] == 200
    assert proposed(records, share=0.8).settings["train.epochs"] == 250


def test_a_large_recipe_keeps_images_as_they_are_and_its_crop() -> None:
    found = proposed(scattered(50, (75, 125)), LARGE)
    assert sizes(found) == [0, 511]
    assert found.settings["train.epochs"] == 300
    assert found.settings["train.milestones"] == [257]  # of 180 in 210
    assert found.work == 1


def test_very_large_images_are_resized_for_a_large_recipe() -> None:
    found = proposed(scattered(50, (300, 500), size=(4000, 3000)), LARGE)
    assert sizes(found) == [640, 511]


def test_without_objects_nothing_is_proposed() -> None:
    assert propose([record([])], TINY, 32) is None
    assert propose([], TINY, 32) is None


def test_each_setting_has_its_reason() -> None:
    found = proposed(scattered(205, (75, 125)))
    names = ("data.long_side 320", "augment.crop_size 256", "train.epochs 100")
    assert [reason.partition(":")[0] for reason in found.reasons] == list(names)
    assert found.work == pytest.approx(4)
