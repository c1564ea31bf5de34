"""Datasets written in another layout are the same data, to the last digit of AP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cornernet.config import Config
from cornernet.data.coco import CocoDataset
from cornernet.data.export import FORMATS, convert
from cornernet.data.images import write_image
from cornernet.data.reader import read_splits
from cornernet.data.splits import training_splits
from cornernet.data.synthetic import synthesize
from cornernet.errors import UserError
from cornernet.inference.evaluate import Evaluation, coco_evaluation, coco_results
from cornernet.structures import Detections


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(
        tmp_path_factory.mktemp("data") / "shapes", train=12, val=6, min_side=64, max_side=128
    )


def imperfect(dataset: CocoDataset) -> Evaluation:
    """The metrics of boxes that are moved a little, the same for the same data."""
    found = {}
    for index in range(len(dataset)):
        sample = dataset.load(index)
        rng = np.random.default_rng(index)
        boxes = sample.boxes + rng.normal(0, 1.5, sample.boxes.shape).astype(np.float32)
        scores = torch.from_numpy(rng.random(len(boxes)))
        found[sample.image_id] = Detections(
            torch.from_numpy(boxes), scores, torch.from_numpy(sample.labels)
        )
    return coco_evaluation(dataset, coco_results(found, dataset.category_ids))


@pytest.mark.parametrize("layout", FORMATS)
def test_a_layout_holds_the_same_splits(shapes: Path, tmp_path: Path, layout: str) -> None:
    lines = convert(shapes, tmp_path / "out", layout)
    assert any(line.startswith("train: 12 images") for line in lines)
    pairs = zip(
        training_splits(Config(), shapes), training_splits(Config(), tmp_path / "out"), strict=True
    )
    for original, copy in pairs:
        assert copy.classes == original.classes
        assert len(copy) == len(original)
        for index in range(len(original)):
            first, second = original.load(index), copy.load(index)
            np.testing.assert_array_equal(first.image, second.image)
            np.testing.assert_array_equal(first.boxes, second.boxes)
            np.testing.assert_array_equal(first.labels, second.labels)
        assert imperfect(copy).metrics == imperfect(original).metrics


@pytest.mark.parametrize("way", [["voc", "coco"], ["yolo", "coco"], ["voc", "yolo", "voc"]])
def test_what_comes_back_is_what_was_there(shapes: Path, tmp_path: Path, way: list[str]) -> None:
    source = shapes
    for place, layout in enumerate(way):
        convert(source, tmp_path / str(place), layout)
        source = tmp_path / str(place)
    for split, copy in zip(read_splits(shapes).values(), read_splits(source).values(), strict=True):
        assert copy.parsed.classes == split.parsed.classes
        for first, second in zip(split.parsed.records, copy.parsed.records, strict=True):
            assert Path(first.info.path).read_bytes() == Path(second.info.path).read_bytes()
            np.testing.assert_array_equal(first.truth.boxes, second.truth.boxes)
            np.testing.assert_array_equal(first.truth.areas, second.truth.areas)
            np.testing.assert_array_equal(first.truth.labels, second.truth.labels)


@pytest.mark.parametrize("layout", ["voc", "yolo"])
def test_an_object_of_32_by_32_pixels_stays_small(tmp_path: Path, layout: str) -> None:
    changes = [{"bbox": [x, 1.7, 32, 32], "area": 1024} for x in (0.1, 7.3, 17.9)]
    root = odd(tmp_path / "in", changes, size=(97, 53))
    convert(root, tmp_path / "out", layout)
    (split,) = read_splits(tmp_path / "out").values()
    assert split.parsed.records[0].truth.areas.tolist() == [1024] * 3


def test_boxes_are_clipped_for_yolo_and_that_is_said(tmp_path: Path) -> None:
    lines = convert(odd(tmp_path / "in"), tmp_path / "out", "yolo")
    assert any("1 boxes are clipped" in line for line in lines)
    shares = np.loadtxt(tmp_path / "out" / "labels" / "train" / "a.txt")[:, 1:]
    assert (shares[:, :2] + shares[:, 2:] / 2).max() == 1


@pytest.mark.parametrize(
    ("name", "layout"), [("a\x0bb", "voc"), ("a\nb", "voc"), ("\ud800", "voc")]
)
def test_a_name_that_a_layout_cannot_hold_is_refused(
    tmp_path: Path, name: str, layout: str
) -> None:
    root = odd(tmp_path / "in")
    path = root / "annotations" / "instances_train.json"
    content = json.loads(path.read_text())
    content["categories"][1]["name"] = name
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="names of"):
        convert(root, tmp_path / "out", layout)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_categories_that_are_left_out_are_said(tmp_path: Path) -> None:
    lines = convert(odd(tmp_path / "in"), tmp_path / "out", "coco")
    assert any("without an object: 'group'" in line for line in lines)


def odd(
    root: Path, changes: list[dict[str, Any]] | None = None, size: tuple[int, int] = (50, 40)
) -> Path:
    """A crowd, an object to ignore, a box over the edge, a bad one, and names that clash.

    Args:
        root: new directory.
        changes: other objects instead.
        size: of the images, width and height.
    """
    names = ["one/a.png", "two/a.png"]
    for name in names:
        (root / "train" / name).parent.mkdir(parents=True)
        write_image(root / "train" / name, np.zeros((size[1], size[0], 3), np.uint8))
    changes = changes or [
        {"bbox": [1, 2, 10.5, 20]},
        {"bbox": [40, 30, 20, 20]},
        {"bbox": [3, 3, 9, 9], "iscrowd": 1},
        {"bbox": [4, 4, 9, 9], "ignore": 1, "image_id": 2},
        {"bbox": [4, 4, -9, 9]},
    ]
    content = {
        "images": [
            {"id": f"id {place}", "file_name": name, "width": size[0], "height": size[1]}
            for place, name in enumerate(names, 1)
        ],
        "annotations": [
            {"id": number, "category_id": 5, "area": 7.5}
            | change
            | {"image_id": f"id {change.get('image_id', 1)}"}
            for number, change in enumerate(changes, 1)
        ],
        "categories": [{"id": 0, "name": "group"}, {"id": 5, "name": "[a] <b> & c: é"}],
    }
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_train.json").write_text(json.dumps(content))
    return root


def test_coco_keeps_areas_and_flags(tmp_path: Path) -> None:
    lines = convert(odd(tmp_path / "in"), tmp_path / "out", "coco")
    assert any("left out" in line and "annotation 5" in line for line in lines)
    content = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    assert [item["name"] for item in content["categories"]] == ["[a] <b> & c: é"]
    assert [item["file_name"] for item in content["images"]] == ["a.png", "a_2.png"]
    entries = content["annotations"]
    assert [item["bbox"] for item in entries][1] == [40, 30, 20, 20]
    assert [item["area"] for item in entries] == [7.5] * 4
    assert [item["iscrowd"] for item in entries] == [0, 0, 1, 0]
    assert [item.get("ignore", 0) for item in entries] == [0, 0, 0, 1]


@pytest.mark.parametrize(("layout", "word"), [("voc", "1 crowds"), ("yolo", "2 crowds")])
def test_what_a_layout_cannot_hold_is_said(tmp_path: Path, layout: str, word: str) -> None:
    lines = convert(odd(tmp_path / "in"), tmp_path / "out", layout)
    assert any(word in line for line in lines)
    dataset = CocoDataset(tmp_path / "out", "train", strict=True)
    assert dataset.classes == ["[a] <b> & c: é"]
    np.testing.assert_array_equal(dataset.load(0).boxes, [[1, 2, 11.5, 22], [40, 30, 50, 40]])
    assert [len(dataset.load(index).boxes) for index in (0, 1)] == [2, 0]


def test_splits_get_their_usual_names(tmp_path: Path) -> None:
    root = odd(tmp_path / "in")
    (root / "valid").mkdir()
    text = (root / "annotations" / "instances_train.json").read_text()
    text = text.replace('"one/', '"../train/one/').replace('"two/', '"../train/two/')
    (root / "annotations" / "instances_valid.json").write_text(text)
    convert(root, tmp_path / "out", "coco")
    assert (tmp_path / "out" / "annotations" / "instances_val.json").is_file()
    assert sorted(path.name for path in (tmp_path / "out" / "val").iterdir()) == [
        "a.png",
        "a_2.png",
    ]


def test_a_directory_that_is_there_is_not_touched(shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="new directory"):
        convert(shapes, tmp_path / "out", "coco")
    assert not list((tmp_path / "out").iterdir())


def test_directories_of_similar_names_are_not_touched(shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "mine").write_text("kept")
    convert(shapes, tmp_path / "out", "coco")
    assert (tmp_path / "out.partial" / "mine").read_text() == "kept"


def test_nothing_is_left_of_a_conversion_that_fails(tmp_path: Path) -> None:
    root = odd(tmp_path / "in")
    write_image(root / "train" / "two" / "a.png", np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(UserError, match=r"two/a\.png.*50x40"):
        convert(root, tmp_path / "out", "yolo")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
