"""Data in COCO's format: what is found, what is read, and what bad input gets."""

from __future__ import annotations

import json
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cornernet.data.coco import CocoDataset
from cornernet.data.images import read_image, write_image
from tests.errors import raises

WIDTH, HEIGHT = 64, 48


def content() -> dict[str, Any]:
    """Two images, three objects, sparse category ids that are not in order."""
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "width": WIDTH, "height": HEIGHT},
            {"id": 3, "file_name": "b.png", "width": WIDTH, "height": HEIGHT},
        ],
        "annotations": [
            annotation(11, bbox=[4, 5, 20, 10], category_id=90),
            annotation(12, bbox=[30.5, 8.25, 10, 20], category_id=2),
            annotation(13, bbox=[0, 0, 8, 8], category_id=17, image_id=3),
        ],
        "categories": [
            {"id": 90, "name": "cup"},
            {"id": 2, "name": "cat"},
            {"id": 17, "name": "dog"},
        ],
    }


def annotation(identity: int, **values: Any) -> dict[str, Any]:
    return {"id": identity, "image_id": 7, "category_id": 2, "bbox": [1, 1, 9, 9]} | values


def write(root: Path, data: Any) -> Path:
    """Write annotations (anything: a str is taken literally) and the two images."""
    images = root / "train"
    images.mkdir(parents=True, exist_ok=True)
    (root / "annotations").mkdir(exist_ok=True)
    text = data if isinstance(data, str) else json.dumps(data)
    (root / "annotations" / "instances_train.json").write_text(text, encoding="utf-8")
    for file_name in ("a.png", "b.png"):
        write_image(images / file_name, np.full((HEIGHT, WIDTH, 3), 99, np.uint8))
    return root


def refused(root: Path, *words: str, field: str | None = None, **options: Any) -> str:
    """The sentence with which a dataset is refused; all `words` must be in it."""
    with raises(*words, field=field) as caught:
        CocoDataset(root, "train", **options)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


# Reading


def test_boxes_are_corners_and_labels_follow_ascending_category_ids(tmp_path: Path) -> None:
    dataset = CocoDataset(write(tmp_path, content()), "train")
    assert dataset.classes == ["cat", "dog", "cup"]
    assert dataset.category_ids == [2, 17, 90]
    sample = dataset.load(0)
    np.testing.assert_array_equal(sample.boxes, [[4, 5, 24, 15], [30.5, 8.25, 40.5, 28.25]])
    assert sample.labels.tolist() == [2, 0]
    assert (sample.boxes.dtype, sample.labels.dtype) == (np.float32, np.int64)
    assert (sample.image_id, sample.path) == (7, str(tmp_path / "train" / "a.png"))
    assert sample.image.shape == (HEIGHT, WIDTH, 3)
    assert sample.crowd_boxes.shape == (0, 4)


def test_length_and_info_need_no_image(tmp_path: Path) -> None:
    dataset = CocoDataset(write(tmp_path, content()), "train")
    (tmp_path / "train" / "b.png").unlink()
    info = dataset.info(1)
    assert len(dataset) == 2
    assert (info.file_name, info.width, info.height, info.id) == ("b.png", WIDTH, HEIGHT, 3)
    assert info.path == str(tmp_path / "train" / "b.png")


def test_an_image_without_objects_has_empty_arrays(tmp_path: Path) -> None:
    data = content() | {"annotations": []}
    sample = CocoDataset(write(tmp_path, data), "train").load(0)
    assert (sample.boxes.shape, sample.labels.shape) == ((0, 4), (0,))
    assert (sample.boxes.dtype, sample.labels.dtype) == (np.float32, np.int64)


def test_changing_a_sample_changes_no_later_one(tmp_path: Path) -> None:
    dataset = CocoDataset(write(tmp_path, content()), "train")
    dataset.load(0).boxes[:] = 0
    assert dataset.load(0).boxes.max() > 0


def test_crowds_are_kept_apart(tmp_path: Path) -> None:
    data = content()
    data["annotations"][0]["iscrowd"] = 1
    sample = CocoDataset(write(tmp_path, data), "train").load(0)
    np.testing.assert_array_equal(sample.crowd_boxes, [[4, 5, 24, 15]])
    assert sample.crowd_labels.tolist() == [2]  # category 90, the last of three
    assert len(sample.boxes) == len(sample.labels) == 1


def test_a_box_over_the_edge_is_clipped_without_a_warning(tmp_path: Path) -> None:
    data = content() | {"annotations": [annotation(1, bbox=[-3, 40, 70, 8.4])]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = CocoDataset(write(tmp_path, data), "train", strict=True)
    np.testing.assert_array_equal(dataset.load(0).boxes, [[0, 40, WIDTH, HEIGHT]])


def test_filter_empty_drops_images_without_boxes_other_than_crowds(tmp_path: Path) -> None:
    data = content()
    data["annotations"][2]["iscrowd"] = 1
    root = write(tmp_path, data)
    assert len(CocoDataset(root, "train")) == 2
    dataset = CocoDataset(root, "train", filter_empty=True)
    assert [dataset.info(index).id for index in range(len(dataset))] == [7]


def test_min_size_drops_images_by_their_shorter_side(tmp_path: Path) -> None:
    data = content()
    data["images"][0]["height"] = 31
    assert len(CocoDataset(write(tmp_path, data), "train", min_size=31)) == 2
    assert len(CocoDataset(tmp_path, "train", min_size=32)) == 1


def test_without_a_large_image_the_setting_is_named(tmp_path: Path) -> None:
    refused(
        write(tmp_path, content()), "instances_train.json", "1000", "largest of 2 images", "48",
        min_size=1000, field="data.min_size",
    )  # fmt: skip


@pytest.mark.parametrize("min_size", [0, 32])
def test_without_an_image_with_boxes_the_setting_is_named(tmp_path: Path, min_size: int) -> None:
    data = content()
    data["images"][1]["height"] = 31
    for entry in data["annotations"][:2]:
        entry["iscrowd"] = 1
    if min_size == 0:
        del data["annotations"][2]
    sentence = refused(
        write(tmp_path, data), "instances_train.json", "good box",
        filter_empty=True, min_size=min_size, field="data.filter_empty",
    )  # fmt: skip
    assert ("1 images of at least data.min_size = 32" if min_size else "2 images in") in sentence


def test_no_images_at_all_is_a_sentence(tmp_path: Path) -> None:
    refused(write(tmp_path, content() | {"images": [], "annotations": []}), "at least one image")


def test_summary_counts_images_boxes_and_classes(tmp_path: Path) -> None:
    data = content()
    data["annotations"].append(annotation(14, iscrowd=1))
    assert CocoDataset(write(tmp_path, data), "train").summary() == {
        "images": 2, "boxes": 3, "crowds": 1, "class cat": 1, "class dog": 1, "class cup": 1,
    }  # fmt: skip


def test_a_copy_in_another_process_reads_the_same(tmp_path: Path) -> None:
    dataset = CocoDataset(write(tmp_path, content()), "train")
    copy = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(copy.load(0).boxes, dataset.load(0).boxes)
    assert copy.summary() == dataset.summary()


def test_ground_truth_is_complete_for_pycocotools(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    data = content()
    data["annotations"][1]["area"] = 77.0
    data["annotations"].append(annotation(14, bbox=[0, 0, -5, 5]))
    with pytest.warns(UserWarning, match="dropped 1 of 4"):
        dataset = CocoDataset(write(tmp_path, data), "train")
    truth = dataset.ground_truth()
    assert [entry["id"] for entry in truth["annotations"]] == [1, 2, 3]  # never 0
    assert [entry["area"] for entry in truth["annotations"]] == [200, 77.0, 64]

    coco = COCO()
    coco.dataset = truth
    coco.createIndex()
    results = [
        {key: entry[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.9}
        for entry in truth["annotations"]
    ]
    evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)


# Classes of a weights file


def test_labels_follow_the_given_classes_by_name(tmp_path: Path) -> None:
    dataset = CocoDataset(write(tmp_path, content()), "train", classes=["cup", "dog", "cat"])
    assert dataset.classes == ["cup", "dog", "cat"]
    assert dataset.category_ids == [90, 17, 2]
    assert dataset.load(0).labels.tolist() == [0, 2]


@pytest.mark.parametrize("classes", [["cup", "dog"], ["cup", "dog", "cow"], ["a", "b", "c", "d"]])
def test_other_classes_than_the_weights_give_both_lists(tmp_path: Path, classes: list[str]) -> None:
    refused(
        write(tmp_path, content()),
        "instances_train.json",
        f"the {len(classes)} classes of the weights",
        ", ".join(f"'{name}'" for name in classes),
        "3 categories ('cat', 'dog', 'cup')",
        classes=classes,
    )


# Broken annotation files


def test_what_is_not_json_is_named_with_line_and_column(tmp_path: Path) -> None:
    refused(write(tmp_path, '{"images": [],\n "x" 5}'), "instances_train.json", "line 2, column 6")


def test_a_truncated_annotation_file_is_named(tmp_path: Path) -> None:
    refused(write(tmp_path, json.dumps(content())[:-20]), "instances_train.json", "line 1, column")


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    write(tmp_path, content())
    (tmp_path / "annotations" / "instances_train.json").write_bytes(b'{"a": "\xff\xfe\xba"}')
    refused(tmp_path, "instances_train.json", "not text")


def test_a_list_is_not_an_annotation_file(tmp_path: Path) -> None:
    refused(write(tmp_path, []), "instances_train.json", "found a list", "COCO's format")


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_a_missing_section_is_named(tmp_path: Path, key: str) -> None:
    data = content()
    del data[key]
    refused(write(tmp_path, data), "instances_train.json", f"no '{key}'")


def test_a_section_must_be_a_list_of_objects(tmp_path: Path) -> None:
    refused(write(tmp_path, content() | {"images": {}}), "'images' to be a list, found a dict")
    refused(write(tmp_path, content() | {"images": [5]}), "images[0] to be an object, found a int")


@pytest.mark.parametrize(
    ("section", "key"),
    [
        *(("images", key) for key in ("id", "file_name")),
        *(("annotations", key) for key in ("id", "image_id", "category_id", "bbox")),
        *(("categories", key) for key in ("id", "name")),
    ],
)
def test_a_missing_key_of_an_entry_is_named_with_its_place(
    tmp_path: Path, section: str, key: str
) -> None:
    data = content()
    del data[section][1][key]
    refused(write(tmp_path, data), "instances_train.json", f"{section}[1]", f"no '{key}'")


@pytest.mark.parametrize("section", ["images", "annotations", "categories"])
def test_an_id_that_occurs_twice_is_named(tmp_path: Path, section: str) -> None:
    data = content()
    data[section][1]["id"] = data[section][0]["id"]
    refused(write(tmp_path, data), f"'{section}'", f"id {data[section][0]['id']} twice")


@pytest.mark.parametrize("identity", ["", None, 1.5, True, [7]])
def test_an_id_that_is_neither_a_number_nor_text_is_named(tmp_path: Path, identity: Any) -> None:
    data = content()
    data["images"][1]["id"] = identity
    refused(write(tmp_path, data), "images[1]", repr(identity))


def test_no_categories_is_a_sentence(tmp_path: Path) -> None:
    refused(write(tmp_path, content() | {"categories": []}), "at least one category")


@pytest.mark.parametrize("side", [0, -4, "wide", 10.5, None])
def test_an_image_without_a_real_size_is_named(tmp_path: Path, side: Any) -> None:
    data = content()
    data["images"][1]["width"] = side
    refused(write(tmp_path, data), "image 3", repr(side))


def test_a_file_name_must_be_text(tmp_path: Path) -> None:
    data = content()
    data["images"][1]["file_name"] = 5
    refused(write(tmp_path, data), "image 3", "file_name, found 5")


def test_missing_images_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    data = content()
    data["images"] += [
        {"id": number, "file_name": f"{number}.png", "width": 9, "height": 9} for number in (50, 51)
    ]
    missing = str(tmp_path / "train" / "50.png")
    refused(write(tmp_path, data), "instances_train.json", "2 of 4 images", missing)


def test_an_annotation_of_an_unknown_image_is_named(tmp_path: Path) -> None:
    data = content()
    data["annotations"].append(annotation(99, image_id=1234))
    refused(write(tmp_path, data), "instances_train.json", "annotation 99", "image_id 1234")


# Images that are not what the annotations say


def test_an_image_of_another_size_is_refused_with_both_sizes(tmp_path: Path) -> None:
    dataset = CocoDataset(write(tmp_path, content()), "train")
    write_image(tmp_path / "train" / "a.png", np.zeros((20, 30, 3), np.uint8))
    with raises("a.png:", "64x48", ".json", "30x20"):
        dataset.load(0)


def test_a_turned_image_points_to_exif(tmp_path: Path) -> None:
    dataset = CocoDataset(write(tmp_path, content()), "train")
    write_image(tmp_path / "train" / "a.png", np.zeros((WIDTH, HEIGHT, 3), np.uint8))
    with raises("48x64", "EXIF"):
        dataset.load(0)


def photograph(path: Path, height: int, width: int, orientation: int) -> np.ndarray:
    """Write an image, black but for its stored upper left corner, with an EXIF orientation."""
    stored = np.zeros((height, width, 3), np.uint8)
    stored[:16, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(path, format="JPEG", exif=exif)
    return stored


# Where EXIF's definition of an orientation puts what is stored in the upper left corner.
SEEN = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1),
        8: (-1, 0)}  # fmt: skip


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_annotated_as_it_is_seen_is_turned(tmp_path: Path, orientation: int) -> None:
    dataset = CocoDataset(write(tmp_path, content()), "train")
    stored = (HEIGHT, WIDTH) if orientation < 5 else (WIDTH, HEIGHT)
    photograph(tmp_path / "train" / "a.png", *stored, orientation)
    image = dataset.load(0).image
    assert image.shape == (HEIGHT, WIDTH, 3)
    assert image[SEEN[orientation]].min() > 200
    assert image.mean() < 100
    np.testing.assert_array_equal(
        image, read_image(tmp_path / "train" / "a.png", apply_exif=True)
    )  # as `predict` sees it


@pytest.mark.parametrize("orientation", range(5, 9))
def test_an_image_annotated_as_it_is_stored_is_not_turned(tmp_path: Path, orientation: int) -> None:
    dataset = CocoDataset(write(tmp_path, content()), "train")
    photograph(tmp_path / "train" / "a.png", HEIGHT, WIDTH, orientation)
    image = dataset.load(0).image
    assert image.shape == (HEIGHT, WIDTH, 3) and image[0, 0].min() > 200


def test_a_turned_image_of_another_size_is_refused_with_both_of_its_sizes(
    tmp_path: Path,
) -> None:
    dataset = CocoDataset(write(tmp_path, content()), "train")
    photograph(tmp_path / "train" / "a.png", 20, 30, 6)
    with raises("a.png:", "20x30", "stored", "30x20"):
        dataset.load(0)


def test_a_truncated_image_is_refused_by_name(tmp_path: Path) -> None:
    dataset = CocoDataset(write(tmp_path, content()), "train")
    path = tmp_path / "train" / "b.png"
    path.write_bytes(path.read_bytes()[:-20])
    with raises("b.png", "truncated"):
        dataset.load(1)


# Bad boxes

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "negative width": ({"bbox": [5, 5, -3, 9]}, "zero or negative width or height"),
    "no height": ({"bbox": [5, 5, 3, 0]}, "zero or negative width or height"),
    "sliver": ({"bbox": [50, 5, 1e-9, 9]}, "zero or negative width or height"),
    "right of the image": ({"bbox": [WIDTH, 5, 3, 9]}, "wholly outside its image"),
    "above the image": ({"bbox": [5, -9, 3, 9]}, "wholly outside its image"),
    "three numbers": ({"bbox": [5, 5, 3]}, "not four finite numbers"),
    "text": ({"bbox": [5, 5, "three", 9]}, "not four finite numbers"),
    "null": ({"bbox": None}, "not four finite numbers"),
    "nan": ({"bbox": [5, 5, float("nan"), 9]}, "not four finite numbers"),
    "infinity": ({"bbox": [5, 5, float("inf"), 9]}, "not four finite numbers"),
    "huge": ({"bbox": [5, 5, 10**400, 9]}, "not four finite numbers"),
    "category": ({"category_id": 55}, "unknown category"),
    "category as text": ({"category_id": "cat"}, "unknown category"),
    "crowd": ({"bbox": [5, 5, -3, 9], "iscrowd": 1}, "zero or negative width or height"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_box_is_dropped_with_file_reason_and_id(tmp_path: Path, case: str) -> None:
    values, reason = BAD[case]
    data = content()
    data["annotations"].append(annotation(4711, **values))
    with pytest.warns(UserWarning) as caught:
        dataset = CocoDataset(write(tmp_path, data), "train")
    assert len(caught) == 1
    sentence = str(caught[0].message)
    for word in ("instances_train.json", "dropped 1 of 4", f"1 {reason}", "4711", "data.strict"):
        assert word in sentence
    assert Path(caught[0].filename) == Path(__file__)
    sample = dataset.load(0)
    assert (len(sample.boxes), len(sample.crowd_boxes)) == (2, 0)


@pytest.mark.parametrize("case", BAD)
def test_a_bad_box_is_an_error_if_strict(tmp_path: Path, case: str) -> None:
    values, reason = BAD[case]
    data = content()
    data["annotations"].append(annotation(4711, **values))
    refused(
        write(tmp_path, data), "instances_train.json", "annotation 4711", reason, "data.strict",
        strict=True,
    )  # fmt: skip


def test_many_bad_boxes_give_one_warning_with_counts(tmp_path: Path) -> None:
    data = content()
    data["annotations"] += [annotation(100 + n, bbox=[0, 0, -1, 1]) for n in range(6)]
    data["annotations"] += [annotation(200 + n, category_id=55) for n in range(3)]
    with pytest.warns(UserWarning) as caught:
        CocoDataset(write(tmp_path, data), "train")
    assert len(caught) == 1
    sentence = str(caught[0].message)
    assert "dropped 9 of 12" in sentence
    assert "3 unknown category, 6 zero or negative width or height" in sentence
    assert re.search(r"ids 100, 101, 102, 103, 104, \.\.\.;", sentence)


def test_an_image_whose_only_box_is_bad_counts_as_empty(tmp_path: Path) -> None:
    data = content()
    data["annotations"][2]["bbox"] = [0, 0, 0, 0]
    with pytest.warns(UserWarning):
        assert len(CocoDataset(write(tmp_path, data), "train", filter_empty=True)) == 1
