"""How values are read that tools write in other types, and what that means for evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cornernet.data import checks
from cornernet.data.coco import CocoDataset
from cornernet.data.fields import flag, identity, number, whole_number
from cornernet.data.images import write_image
from cornernet.data.layouts import find_split
from cornernet.data.reader import read_split
from cornernet.errors import UserError
from cornernet.inference.evaluate import Evaluation, coco_evaluation, coco_results
from cornernet.structures import Detections

SIDE = 64


def annotation(number: int, image: Any, **values: Any) -> dict[str, Any]:
    box = [4 * number, 5, 20, 10]
    return {"id": number, "image_id": image, "category_id": 1, "bbox": box} | values


def content(**sections: Any) -> dict[str, Any]:
    return {
        "images": [
            {"id": number, "file_name": f"{number}.png", "width": SIDE, "height": SIDE}
            for number in (1, 2, 3)
        ],
        "annotations": [annotation(number, number) for number in (1, 2, 3)],
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "cat"}],
    } | sections


def write(root: Path, data: dict[str, Any]) -> Path:
    (root / "annotations").mkdir(parents=True)
    (root / "annotations" / "instances_train.json").write_text(json.dumps(data))
    for name in (1, 2, 3):
        (root / "train").mkdir(exist_ok=True)
        write_image(root / "train" / f"{name}.png", np.full((SIDE, SIDE, 3), 9, np.uint8))
    return root


def open_split(root: Path, data: dict[str, Any]) -> CocoDataset:
    return CocoDataset(write(root, data), "train")


def perfect(dataset: CocoDataset, images: range | None = None) -> list[dict[str, Any]]:
    """Results that find every object in some images."""
    found = {}
    for index in range(len(dataset)) if images is None else images:
        sample = dataset.load(index)
        boxes, labels = torch.from_numpy(sample.boxes), torch.from_numpy(sample.labels)
        found[sample.image_id] = Detections(boxes, torch.full([len(boxes)], 0.9), labels)
    return coco_results(found, dataset.category_ids)


def score(dataset: CocoDataset, images: range | None = None) -> Evaluation:
    return coco_evaluation(dataset, perfect(dataset, images))


# Single values


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(5, 5), (5.5, 5.5), ("5", 5), (" -5.25 ", -5.25), ("1e3", 1000), (".5", 0.5)]
    + [(bad, None) for bad in ("", "x", "nan", "inf", "1_0", True, None, [5])]
    + [(bad, None) for bad in (float("nan"), 10**400)],
)  # fmt: skip
def test_a_number_may_be_text(value: Any, wanted: float | None) -> None:
    assert number(value) == wanted


def test_a_whole_number_may_be_text_but_has_no_fraction() -> None:
    assert [whole_number(value) for value in (7, 7.0, "7", "7.5", 7.5)] == [7, 7, 7, None, None]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (7, 7),
        ("7", 7),
        (7.0, 7),
        ("007", "007"),
        ("p1", "p1"),
        (2**70, 2**70),
        (str(2**70), 2**70),
        ("", None),
        (" ", None),
        (None, None),
        (True, None),
        (1.5, None),
        ([1], None),
        ({}, None),
    ],
)
def test_an_id_is_a_whole_number_or_text(value: Any, wanted: Any) -> None:
    assert identity(value) == wanted


def test_only_one_true_and_one_as_text_set_a_flag() -> None:
    assert all(flag(value) for value in (1, True, 1.0, "1"))
    assert not any(flag(value) for value in (0, False, None, "0", "", "no", "true", 2, [1], "01"))


# Boxes, areas and flags


def test_numbers_as_text_are_read_everywhere(tmp_path: Path) -> None:
    plain = open_split(tmp_path / "plain", content())

    def as_text(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: as_text(item) for key, item in value.items()}
        if isinstance(value, list):
            return [as_text(item) for item in value]
        return str(value)

    text = open_split(tmp_path / "text", as_text(content()))
    assert text.ground_truth() == plain.ground_truth()
    assert not text.notes
    np.testing.assert_array_equal(text.load(1).boxes, plain.load(1).boxes)


@pytest.mark.parametrize("area", [-528, float("nan"), float("inf"), [528], "large", True, {}])
def test_an_area_that_is_none_is_computed_from_the_box(tmp_path: Path, area: Any) -> None:
    data = content()
    data["annotations"][1]["area"] = area
    dataset = open_split(tmp_path, data)
    assert [entry["area"] for entry in dataset.ground_truth()["annotations"]] == [200, 200, 200]
    (note,) = dataset.notes
    assert "annotation 2" in note and "computed from the boxes" in note
    assert score(dataset).metrics["AP"] == pytest.approx(1)


@pytest.mark.parametrize("area", [528, "528", 528.0])
def test_an_area_that_is_given_is_kept(tmp_path: Path, area: Any) -> None:
    data = content(annotations=[annotation(1, 1, area=area)])
    dataset = open_split(tmp_path, data)
    assert dataset.ground_truth()["annotations"][0]["area"] == 528
    assert not dataset.notes


@pytest.mark.parametrize(("value", "crowd"), [(1, 1), (True, 1), ("1", 1), ("0", 0), (2, 0)])
def test_a_crowd_is_one_true_or_one_as_text(tmp_path: Path, value: Any, crowd: int) -> None:
    dataset = open_split(tmp_path, content(annotations=[annotation(1, 1, iscrowd=value)]))
    assert dataset.ground_truth()["annotations"][0]["iscrowd"] == crowd
    assert len(dataset.load(0).crowd_boxes) == crowd
    assert len(dataset.load(0).boxes) == 1 - crowd


def test_objects_to_ignore_are_not_learnt_but_evaluated(tmp_path: Path) -> None:
    # MMDetection leaves them out of training; pycocotools overwrites `ignore` with `iscrowd`.
    data = content()
    data["annotations"][0]["ignore"] = 1
    data["annotations"][1]["ignore"] = 0
    dataset = open_split(tmp_path, data)
    assert [len(dataset.load(index).boxes) for index in range(3)] == [0, 1, 1]
    assert len(dataset.ground_truth()["annotations"]) == 3
    assert any("ignore = 1" in note and "not learnt" in note for note in dataset.notes)


def test_polygons_give_the_boxes_that_are_missing(tmp_path: Path) -> None:
    data = content()
    for place, entry in enumerate(data["annotations"]):
        x, y, width, height = entry["bbox"]
        entry["segmentation"] = [[x, y, x + width, y, x + width, y + height]]
        entry["bbox"] = [[], None, entry["bbox"]][place]
    del data["annotations"][0]["bbox"]
    dataset = open_split(tmp_path / "polygons", data)
    plain = open_split(tmp_path / "plain", content())
    assert dataset.ground_truth() == plain.ground_truth()
    assert any("2 of 3 annotations" in note and "segmentation" in note for note in dataset.notes)


# Ids


def renamed(ids: list[Any]) -> dict[str, Any]:
    data = content()
    for entry, name in zip(data["images"], ids, strict=True):
        entry["id"] = name
    for entry in data["annotations"]:
        entry["image_id"] = ids[entry["image_id"] - 1]
    return data


@pytest.mark.parametrize(
    "ids",
    [["p1", "p2", "p3"], [1, "p", "q"], [1, 2**63 + 6, 2**63 + 7], [-(2**70), 2**64, 10**400]],
    ids=["text", "mixed", "uint64", "huge"],
)
def test_ids_of_images_that_pycocotools_loses_are_our_own(tmp_path: Path, ids: list[Any]) -> None:
    plain = open_split(tmp_path / "plain", content())
    dataset = open_split(tmp_path / "ids", renamed(ids))
    assert dataset.ground_truth() == plain.ground_truth()
    one = range(1)  # objects of two images are not found
    assert score(dataset, one).metrics == score(plain, one).metrics
    assert score(dataset, one).metrics["AP"] < 0.4
    given = dataset.as_given(perfect(dataset))
    assert [entry["image_id"] for entry in given] == ids


def test_ids_that_pycocotools_keeps_are_kept(tmp_path: Path) -> None:
    dataset = open_split(tmp_path, renamed([2**63 - 1, 5, -3]))
    assert [dataset.info(index).id for index in range(3)] == [2**63 - 1, 5, -3]


@pytest.mark.parametrize("ids", [["one", "two"], [2**64, 2**64 + 1], [1, "two"]])
def test_ids_of_categories_may_be_text_or_large(tmp_path: Path, ids: list[Any]) -> None:
    data = content()
    for entry, name in zip(data["categories"], ids, strict=True):
        entry["id"] = name
    for entry in data["annotations"]:
        entry["category_id"] = ids[entry["id"] % 2]
    dataset = open_split(tmp_path, data)
    assert dataset.classes == ["cup", "cat"]
    evaluation = score(dataset)
    assert evaluation.class_ap == {"cup": pytest.approx(1), "cat": pytest.approx(1)}
    given = dataset.as_given(perfect(dataset))
    assert [entry["category_id"] for entry in given] == [ids[1], ids[0], ids[1]]


def test_an_id_twice_is_named_also_if_one_is_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'images'.*id 1 twice"):
        open_split(tmp_path, renamed([1, "1", 3]))


# Categories


def test_categories_of_one_name_are_joined(tmp_path: Path) -> None:
    categories = [{"id": 0, "name": "cup"}, {"id": 1, "name": "cup"}, {"id": 2, "name": "cat"}]
    dataset = open_split(tmp_path, content(categories=categories))
    assert (dataset.classes, dataset.category_ids) == (["cup", "cat"], [1, 2])
    assert score(dataset).metrics["AP"] == pytest.approx(1)
    assert any("'cup'" in note and "ids 0, 1" in note for note in dataset.notes)


def test_objects_of_both_joined_categories_are_of_one_class(tmp_path: Path) -> None:
    categories = [{"id": 1, "name": "cup"}, {"id": 7, "name": "cup"}]
    data = content(categories=categories)
    data["annotations"][2]["category_id"] = 7
    dataset = open_split(tmp_path, data)
    assert [dataset.load(index).labels.tolist() for index in range(3)] == [[0]] * 3
    assert {entry["category_id"] for entry in dataset.ground_truth()["annotations"]} == {1}


def test_a_class_that_the_split_does_not_list_has_no_ap(tmp_path: Path) -> None:
    write(tmp_path, content(categories=[{"id": 1, "name": "cup"}]))
    dataset = CocoDataset(tmp_path, "train", classes=["cat", "cup", "dog"])
    results = perfect(dataset)
    results.append(results[0] | {"category_id": dataset.category_ids[2]})
    evaluation = coco_evaluation(dataset, results)
    assert evaluation.class_ap == {"cat": -1, "cup": pytest.approx(1), "dog": -1}
    assert evaluation.metrics["AP"] == pytest.approx(1)
    assert {entry["category_id"] for entry in dataset.as_given(results)} == {1}
    assert any("'cat', 'dog'" in note and "n/a" in note for note in dataset.notes)


def test_a_class_without_an_id_gets_one_that_is_free(tmp_path: Path) -> None:
    data = content(categories=[{"id": 1, "name": "cup"}, {"id": 2**63 - 1, "name": "cat"}])
    write(tmp_path, data)
    dataset = CocoDataset(tmp_path, "train", classes=["dog", "cup", "cat"])
    assert dataset.category_ids == [2, 1, 2**63 - 1]
    assert score(dataset).class_ap == {"dog": -1, "cup": pytest.approx(1), "cat": -1}


# Sizes


def test_a_wrong_annotated_size_is_named_instead_of_the_box(tmp_path: Path) -> None:
    data = content()
    data["images"][1] |= {"width": 10, "height": 4}
    issues = read_split(find_split(write(tmp_path, data), "train")).issues
    assert [issue.kind for issue in issues] == [checks.WRONG_SIZE]
    with pytest.raises(UserError, match=r"2\.png has 64x64 pixels.*10x4"):
        CocoDataset(tmp_path, "train")


def test_a_box_outside_an_image_of_the_annotated_size_is_dropped(tmp_path: Path) -> None:
    data = content()
    data["annotations"][1]["bbox"] = [SIDE + 1, 0, 5, 5]
    issues = read_split(find_split(write(tmp_path, data), "train")).issues
    assert [issue.kind for issue in issues] == [checks.OUTSIDE]


def test_an_image_without_a_size_has_that_of_its_file(tmp_path: Path) -> None:
    plain = open_split(tmp_path / "plain", content())
    data = content()
    for entry, size in zip(data["images"], ({}, {"width": None, "height": ""}), strict=False):
        del entry["width"], entry["height"]
        entry |= size
    dataset = open_split(tmp_path / "sizes", data)
    assert dataset.ground_truth() == plain.ground_truth()
    assert any("2 of 3 images" in note and "image files" in note for note in dataset.notes)


def test_an_image_without_a_size_and_a_file_is_missing(tmp_path: Path) -> None:
    data = content()
    data["images"][1] = {"id": 2, "file_name": "gone.png"}
    issues = read_split(find_split(write(tmp_path, data), "train")).issues
    assert [issue.kind for issue in issues] == [checks.MISSING_FILE]


@pytest.mark.parametrize("name", [None, "", " ", ["cup"], {}, True])
def test_a_category_has_a_name(tmp_path: Path, name: Any) -> None:
    data = content(categories=[{"id": 1, "name": name}, {"id": 2, "name": "cat"}])
    with pytest.raises(UserError, match="category 1 to have a name"):
        open_split(tmp_path, data)


def test_the_name_of_a_category_may_be_a_number(tmp_path: Path) -> None:
    data = content(categories=[{"id": 1, "name": 7}, {"id": 2, "name": "cat"}])
    assert open_split(tmp_path, data).classes == ["7", "cat"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_annotations_may_be_in_any_encoding_of_unicode(tmp_path: Path, encoding: str) -> None:
    write(tmp_path, content())
    file = tmp_path / "annotations" / "instances_train.json"
    file.write_bytes(json.dumps(content()).encode(encoding))
    assert len(CocoDataset(tmp_path, "train")) == 3


@pytest.mark.parametrize("text", ['{"images": ' + "9" * 5000 + "}", "[" * 200_000])
def test_json_that_python_cannot_read_is_a_sentence(tmp_path: Path, text: str) -> None:
    write(tmp_path, content())
    (tmp_path / "annotations" / "instances_train.json").write_text(text)
    with pytest.raises(UserError, match=r"instances_train\.json"):
        CocoDataset(tmp_path, "train")
