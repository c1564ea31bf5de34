"""What is drawn of a dataset: colours at places that are known."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from cornernet.data.coco import CocoDataset
from cornernet.data.images import write_image
from cornernet.report.heat_maps import draw_heat_maps
from cornernet.report.panels import annotated, augmented, beside_truth, with_targets
from cornernet.structures import Detections, Sample
from tests.data.test_parse import annotation, content, write

GREY = np.full((400, 600, 3), 128, np.uint8)


class Heat(NamedTuple):
    tl_heat: torch.Tensor
    offset: torch.Tensor


class Heats(NamedTuple):
    heats: tuple[torch.Tensor, ...]


def changed(image: np.ndarray, plain: np.ndarray) -> np.ndarray:
    return np.any(image != plain, axis=2)


def test_a_map_is_drawn_where_it_is_hot() -> None:
    heat = np.zeros((100, 150), np.float32)
    heat[50, 75] = 1
    drawn = draw_heat_maps(GREY, {"warm": [heat]})
    rows, columns = np.nonzero(changed(drawn, GREY)[40:])
    assert (rows.min() + 40, rows.max() + 40) == (200, 203)
    assert (columns.min(), columns.max()) == (300, 303)
    assert drawn[201, 301, 0] > 200 > 100 > drawn[201, 301, 2]
    np.testing.assert_array_equal(GREY, 128)


def test_maps_have_colours_of_their_own_and_names() -> None:
    heat = np.zeros((4, 6), np.float32)
    heat[3, 5] = 1
    first, second = (draw_heat_maps(GREY, maps) for maps in ({"a": [heat]}, {"b": [], "a": [heat]}))
    assert tuple(first[399, 599]) != tuple(second[399, 599])
    assert changed(first, GREY)[:40, :40].any()


def test_all_levels_of_a_map_are_drawn() -> None:
    coarse, fine = np.zeros((4, 6), np.float32), np.zeros((40, 60), np.float32)
    coarse[3, 5] = fine[39, 0] = 1
    drawn = changed(draw_heat_maps(GREY, {"a": [coarse, fine]}), GREY)
    assert drawn[399, 599] and drawn[300, 500] and drawn[399, 0] and not drawn[399, 10]


def test_targets_of_all_parts_are_drawn() -> None:
    heat = torch.zeros(2, 3, 10, 10)
    heat[1, 2, 9, 9] = 1
    sample = Sample(np.full((400, 400, 3), 128.4, np.float32), np.zeros((0, 4), np.float32),
                    np.zeros(0, np.int64), 1, "a.jpg")  # fmt: skip
    targets = {"corners": Heat(heat, heat), "attention": Heats((heat[:, :1, :5, :5],))}
    caption, drawn = with_targets(sample, targets, 1, ["x"], "a.jpg")
    assert caption == "a.jpg: 0 objects"
    assert tuple(drawn[399, 399]) != (128, 128, 128) and tuple(drawn[200, 200]) == (128,) * 3
    _, other = with_targets(sample, targets, 0, ["x"], "a.jpg")
    assert tuple(other[399, 399]) == (128, 128, 128)


def test_crowds_and_ignored_objects_look_different(tmp_path: Path) -> None:
    flags = {"plain": {}, "crowd": {"iscrowd": 1}, "ignored": {"ignore": 1}}
    drawn = {}
    for name, values in flags.items():
        box = annotation(1, 1, bbox=[20, 20, 30, 30], **values)
        root = write(tmp_path / name, content(annotations=[box]))
        caption, drawn[name] = annotated(CocoDataset(root, "train"), 0)
        assert caption == "1.png: 1 object"
    assert max(drawn["plain"].shape) == 320
    assert not np.array_equal(drawn["plain"], drawn["crowd"])
    assert not np.array_equal(drawn["ignored"], drawn["crowd"])


def test_an_augmented_image_is_clipped_to_pixels() -> None:
    image = np.full((320, 320, 3), 300.0, np.float32)
    image[:160] = -20
    box = np.array([[40, 200, 120, 280]], np.float32)
    sample = Sample(image, box, np.zeros(1, np.int64), 1, "a.jpg")
    caption, drawn = augmented(sample, ["cup"], "a.jpg")
    assert caption == "a.jpg: 1 object"
    assert tuple(drawn[0, 0]) == (0, 0, 0) and tuple(drawn[319, 319]) == (255, 255, 255)
    assert tuple(drawn[200, 80]) not in ((0, 0, 0), (255, 255, 255))


def test_detections_stand_beside_the_truth(tmp_path: Path) -> None:
    root = write(tmp_path, content(annotations=[annotation(1, 1, bbox=[4, 30, 20, 20])]))
    write_image(root / "train" / "1.png", np.full((64, 64, 3), 128, np.uint8))
    dataset = CocoDataset(root, "train")
    found = Detections(
        torch.tensor([[40.0, 30.0, 60.0, 50.0]]), torch.tensor([0.5]), torch.tensor([1])
    )
    caption, drawn = beside_truth(dataset, 0, found, "1 false")
    assert caption == "1.png: 1 false" and drawn.shape == (320, 644, 3)
    left, right = (np.nonzero(changed(part, np.full_like(part, 128)))[1]
                   for part in (drawn[200:, :320], drawn[200:, 324:]))  # fmt: skip
    assert (left.min(), right.min()) == (20, 200)
    _, empty = beside_truth(dataset, 0, None, "1 missed")
    assert not changed(empty[:, 324:], np.full((320, 320, 3), 128)).any()
