"""Drawn shapes: a sound dataset, the same one each time, with boxes that fit."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cornernet.data.coco import CocoDataset
from cornernet.data.shapes import CLASSES, outline
from cornernet.data.stencils import fits, rasterise
from cornernet.data.synthetic import synthesize
from cornernet.errors import UserError
from tests.errors import raises


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(tmp_path_factory.mktemp("shapes") / "data", train=40, val=10)


def files(root: Path) -> dict[str, bytes]:
    paths = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


@pytest.mark.parametrize(("split", "count"), [("train", 40), ("val", 10)])
def test_the_directory_passes_the_strict_checks(root: Path, split: str, count: int) -> None:
    dataset = CocoDataset(root, split, strict=True, filter_empty=True, min_size=160)
    assert len(dataset) == count
    assert dataset.classes == list(CLASSES)
    assert dataset.category_ids == [1, 2, 3, 4, 5]


def test_annotations_have_every_field_of_coco(root: Path) -> None:
    content = json.loads((root / "annotations" / "instances_train.json").read_text())
    assert set(content) == {"info", "licenses", "images", "annotations", "categories"}
    for entry in content["annotations"]:
        assert set(entry) == {
            "id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation",
        }  # fmt: skip
        assert entry["area"] == entry["bbox"][2] * entry["bbox"][3]


def test_images_and_objects_are_of_the_promised_sizes_and_numbers(root: Path) -> None:
    dataset = CocoDataset(root, "train")
    per_image = []
    for index in range(len(dataset)):
        sample = dataset.load(index)
        assert all(160 <= side <= 256 for side in sample.image.shape[:2])
        sides = sample.boxes[:, 2:] - sample.boxes[:, :2]
        assert sides.min() >= 14
        assert sides.max() <= 113
        per_image.append(len(sides))
    assert min(per_image) >= 1
    assert max(per_image) <= 8
    assert len(set(per_image)) > 4


def test_every_class_is_drawn_about_equally_often(root: Path) -> None:
    summary = CocoDataset(root, "train").summary()
    counts = [summary[f"class {name}"] for name in CLASSES]
    assert min(counts) > 0.5 * summary["boxes"] / len(CLASSES)


def test_no_two_boxes_nearly_coincide(root: Path) -> None:
    dataset = CocoDataset(root, "train")
    for index in range(len(dataset)):
        boxes = dataset.load(index).boxes
        low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
        high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
        common = np.clip(high - low, 0, None).prod(-1)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
        overlap = common / (areas[:, None] + areas - common)
        np.fill_diagonal(overlap, 0)
        assert overlap.max() <= 0.35 + 1e-5


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize(("stroke", "hollow"), [(0.0, False), (4.0, False), (4.0, True)])
def test_a_box_is_as_tight_as_its_shape(name: str, stroke: float, hollow: bool) -> None:
    corners = outline(name) * 30 + (60.3, 70.7)
    stencil = rasterise(corners, stroke, hollow, 200, 200)
    assert stencil is not None
    expected = np.concatenate([corners.min(0), corners.max(0)])
    # A mitre-less line adds at most half its width on each side, and at least nothing.
    outward = np.array([-1, -1, 1, 1]) * (np.array(stencil.box) - expected)
    assert outward.min() >= -0.3
    assert outward.max() <= stroke / 2 + 0.6
    columns = np.flatnonzero(stencil.cover.any(axis=0)) + stencil.x
    rows = np.flatnonzero(stencil.cover.any(axis=1)) + stencil.y
    assert np.floor(stencil.box).tolist()[:2] == [columns[0], rows[0]]
    assert np.ceil(stencil.box).tolist()[2:] == [columns[-1] + 1, rows[-1] + 1]


def test_a_shape_at_the_edge_has_the_box_of_its_visible_part() -> None:
    # A diamond whose left tip is cut off: what is left is as high as before.
    diamond = np.array([[-4.0, 50.0], [26.0, 20.0], [56.0, 50.0], [26.0, 80.0]])
    stencil = rasterise(diamond, 0.0, False, 100, 100)
    assert stencil is not None
    np.testing.assert_allclose(stencil.box, (0, 20, 56, 80), atol=0.3)
    # Its lower tip cut off as well: the widest row is still in the image.
    stencil = rasterise(diamond, 0.0, False, 100, 76)
    assert stencil is not None
    np.testing.assert_allclose(stencil.box, (0, 20, 56, 76), atol=0.3)


def test_a_shape_mostly_outside_is_not_drawn() -> None:
    square = np.array([[-20.0, 10.0], [20.0, 10.0], [20.0, 50.0], [-20.0, 50.0]])
    assert rasterise(square, 0.0, False, 100, 100) is None


def test_a_shape_may_hide_a_third_of_an_older_one_but_not_half() -> None:
    owner = np.full((100, 100), -1, np.int32)
    owner[40:60, 40:60] = 0  # an older shape of 20 x 20 pixels
    areas, boxes = [400], [(40.0, 40.0, 60.0, 60.0)]
    square = np.array([[0.0, 0.0], [30.0, 0.0], [30.0, 30.0], [0.0, 30.0]])
    for left, expected in ((54.0, True), (50.0, False)):  # hides 6 and 10 of the 20 columns
        stencil = rasterise(square + (left, 35.0), 0.0, False, 100, 100)
        assert stencil is not None
        assert fits(stencil, boxes, owner, areas) == expected


def test_the_same_seed_gives_the_same_bytes_whatever_the_threads(tmp_path: Path) -> None:
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        first = files(synthesize(tmp_path / "a", train=6, val=2, seed=5))
        cv2.setNumThreads(4)
        second = files(synthesize(tmp_path / "b", train=6, val=2, seed=5))
    finally:
        cv2.setNumThreads(threads)
    assert len(first) == 10
    assert first == second


def test_another_seed_gives_other_images(tmp_path: Path) -> None:
    first = files(synthesize(tmp_path / "a", train=2, val=1, seed=0))
    second = files(synthesize(tmp_path / "b", train=2, val=1, seed=1))
    assert all(first[name] != second[name] for name in first)


def test_more_images_leave_the_first_ones_as_they_are(tmp_path: Path) -> None:
    few = files(synthesize(tmp_path / "few", train=2, val=1))
    many = files(synthesize(tmp_path / "many", train=4, val=2))
    images = [name for name in few if name.endswith(".jpg")]
    assert len(images) == 3
    assert all(few[name] == many[name] for name in images)


def test_splits_share_no_image(root: Path) -> None:
    images = [data for name, data in files(root).items() if name.endswith(".jpg")]
    assert len(set(images)) == len(images) == 50


def test_classes_can_be_chosen(tmp_path: Path) -> None:
    synthesize(tmp_path / "a", train=8, val=1, classes=["star", "circle"])
    dataset = CocoDataset(tmp_path / "a", "train")
    assert dataset.classes == ["star", "circle"]
    assert min(dataset.summary().values(), default=0) == 0  # no crowds
    assert dataset.summary()["class star"] > 0
    assert dataset.summary()["class circle"] > 0


def test_an_empty_directory_is_filled(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    synthesize(tmp_path / "a", train=1, val=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "annotations",
        "train",
        "val",
    ]


def test_a_directory_that_holds_something_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine.txt").write_text("keep")
    with raises("a:", "not empty"):
        synthesize(tmp_path / "a", train=1, val=1)
    assert files(tmp_path) == {"a/mine.txt": b"keep"}


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("keep")
    with raises("a file"):
        synthesize(tmp_path / "a", train=1, val=1)


def test_what_fails_half_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cornernet.data import synthetic

    written: list[Path] = []

    def write_two(path: Path, image: np.ndarray) -> None:
        if len(written) == 2:
            raise UserError("no space")
        written.append(path)

    monkeypatch.setattr(synthetic, "write_image", write_two)
    with raises("no space"):
        synthesize(tmp_path / "a", train=5, val=5)
    assert len(written) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "field", "words"),
    [
        ({"train": 0}, "train", ["at least 1", "0"]),
        ({"val": -1}, "val", ["at least 1", "-1"]),
        ({"classes": ["circle", "cow"]}, "classes", ["circle, cow"]),
        ({"classes": []}, "classes", ["none"]),
        ({"classes": ["star", "star"]}, "classes", ["star, star"]),
        ({"seed": -1}, "seed", ["-1"]),
        ({"min_side": 20}, "min_side", ["64", "20"]),
        ({"min_side": 200, "max_side": 100}, "max_side", ["200", "100"]),
        ({"max_side": 5000}, "max_side", ["4096", "5000"]),
    ],
)
def test_an_argument_out_of_range_is_a_sentence(
    tmp_path: Path, arguments: dict[str, Any], field: str, words: list[str]
) -> None:
    with raises(*words, field=field):
        synthesize(tmp_path / "a", **arguments)
    assert not list(tmp_path.iterdir())


def test_scenes_show_objects_of_one_class(tmp_path: Path) -> None:
    root = synthesize(tmp_path / "scenes", train=12, val=1, style="scenes")
    content = json.loads((root / "annotations" / "instances_train.json").read_text())
    assert [category["name"] for category in content["categories"]] == ["object"]
    numbers = Counter(entry["image_id"] for entry in content["annotations"])
    assert len(numbers) == 12 and max(numbers.values()) >= 6 > min(numbers.values())
    sides = [max(entry["bbox"][2:]) for entry in content["annotations"]]
    assert min(sides) < 20 and max(sides) > 80


def test_the_same_seed_gives_the_same_scenes(tmp_path: Path) -> None:
    first, second = (
        synthesize(tmp_path / name, train=2, val=1, style="scenes", seed=3) for name in "ab"
    )
    for path in sorted(first.rglob("*.*")):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "field", "words"),
    [({"style": "photos"}, "style", "scenes"),
     ({"style": "scenes", "classes": ["star"]}, "classes", "one class")],
)  # fmt: skip
def test_a_style_that_does_not_fit_is_refused(
    tmp_path: Path, arguments: dict[str, Any], field: str, words: str
) -> None:
    with raises(words, field=field):
        synthesize(tmp_path / "data", **arguments)
