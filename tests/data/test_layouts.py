"""Which files are found for a split, and what is said where there are none."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cornernet.data.coco import CocoDataset
from cornernet.data.images import write_image
from cornernet.data.layouts import find_split
from cornernet.data.paths import ImageFinder
from cornernet.data.reader import read_split
from cornernet.errors import UserError


def make(root: Path, *names: str) -> Path:
    """Make a data directory of empty files and, where a name ends in a slash, directories."""
    for name in names:
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
    return root


def annotation_files(*splits: str) -> list[str]:
    return [f"annotations/instances_{split}.json" for split in splits]


def refused(root: Path, *words: str, split: str = "train", field: str | None = None) -> None:
    """A split is not found; the error has the field and all `words` in one line."""
    with pytest.raises(UserError) as caught:
        find_split(root, split)
    assert caught.value.field == field
    sentence = str(caught.value)
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


@pytest.mark.parametrize("name", ["train", "train2017", "train_mini"])
def test_a_split_is_found_by_the_start_of_its_name(tmp_path: Path, name: str) -> None:
    files = find_split(make(tmp_path, *annotation_files(name, "val"), f"{name}/", "val/"), "train")
    assert files.annotations == tmp_path / "annotations" / f"instances_{name}.json"
    assert files.images == tmp_path / name


def test_an_exact_name_wins_over_longer_ones(tmp_path: Path) -> None:
    names = ["train2014", "train", "train2017"]
    make(tmp_path, *annotation_files(*names), *(f"{name}/" for name in names))
    for name in names:
        files = find_split(tmp_path, name)
        assert (files.annotations.stem, files.images.name) == (f"instances_{name}", name)


def test_several_annotation_files_are_listed(tmp_path: Path) -> None:
    make(tmp_path, *annotation_files("train2014", "train2017"))
    refused(
        tmp_path, "instances_train2014.json, instances_train2017.json", "in full", field="split"
    )


def test_without_the_split_the_others_are_listed(tmp_path: Path) -> None:
    make(tmp_path, *annotation_files("val"))
    refused(tmp_path, "'train'", "COCO", "only val", field="split")


def test_no_data_directory_is_a_sentence(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "nowhere", "nothing there", "cornernet data synthesize")


def test_a_file_is_no_data_directory(tmp_path: Path) -> None:
    refused(make(tmp_path, "file") / "file", "found a file")


def test_a_directory_without_annotations_is_a_sentence(tmp_path: Path) -> None:
    refused(tmp_path, "annotations/instances_", "no files", "data.train_annotations")


def test_an_empty_split_name_is_refused(tmp_path: Path) -> None:
    refused(make(tmp_path, *annotation_files("train"), "train/"), "name", split="", field="split")


def test_the_only_directory_that_starts_like_the_split_holds_the_images(tmp_path: Path) -> None:
    make(tmp_path, *annotation_files("train2017"), "train_images/", "val/")
    assert find_split(tmp_path, "train").images == tmp_path / "train_images"


def test_a_dataset_says_which_setting_its_split_comes_from(tmp_path: Path) -> None:
    make(tmp_path, *annotation_files("val"))
    with pytest.raises(UserError, match=r"^data\.train_split is 'train'") as caught:
        CocoDataset(tmp_path, "train", split_field="data.train_split")
    assert caught.value.field == "data.train_split"


# One dataset in every layout


WIDTH, HEIGHT = 64, 48
BOXES: dict[str, list[tuple[str, list[float]]]] = {
    "a": [("cat", [4, 5, 20, 10]), ("dog", [30.5, 8.25, 10, 20])],
    "b": [("dog", [1, 2, 8, 9])],
}
SPLITS = {"train": ("a", "b"), "val": ("b",)}


def images(directory: Path, split: str = "train") -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name in SPLITS[split]:
        write_image(directory / f"{name}.jpg", np.full((HEIGHT, WIDTH, 3), 99, np.uint8))


def coco(path: Path, split: str = "train", prefix: str = "") -> None:
    """Write a split's annotations in COCO's format; `prefix` stands before each file name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = SPLITS[split]
    categories = {"cat": 1, "dog": 2}
    content = {
        "images": [
            {"id": place, "file_name": f"{prefix}{name}.jpg", "width": WIDTH, "height": HEIGHT}
            for place, name in enumerate(names, 1)
        ],
        "annotations": [
            {"image_id": place, "category_id": categories[category], "bbox": box}
            for place, name in enumerate(names, 1)
            for category, box in BOXES[name]
        ],
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
    }
    for number, entry in enumerate(content["annotations"], 1):
        entry["id"] = number
    path.write_text(json.dumps(content))


def voc(directory: Path, split: str = "train") -> None:
    """Write XML files by hand: pixels count from 1, the last pixel belongs to the box."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in SPLITS[split]:
        objects = "".join(
            f"<object><name>{category}</name><difficult>0</difficult><bndbox><xmin>{x + 1}</xmin>"
            f"<ymin>{y + 1}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object>"
            for category, (x, y, w, h) in BOXES[name]
        )
        (directory / f"{name}.xml").write_text(
            f"<annotation><filename>{name}.jpg</filename><size><width>{WIDTH}</width>"
            f"<height>{HEIGHT}</height><depth>3</depth></size>{objects}</annotation>"
        )


def yolo(directory: Path, split: str = "train") -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name in SPLITS[split]:
        lines = [
            f"{('cat', 'dog').index(category)} {(x + w / 2) / WIDTH} {(y + h / 2) / HEIGHT} "
            f"{w / WIDTH} {h / HEIGHT}"
            for category, (x, y, w, h) in BOXES[name]
        ]
        (directory / f"{name}.txt").write_text("\n".join(lines) + "\n")


def per_split(root: Path, make_split: Any) -> None:
    for split in SPLITS:
        make_split(root, split)


def coco_2017(root: Path, split: str) -> None:
    images(root / f"{split}2017", split)
    coco(root / "annotations" / f"instances_{split}2017.json", split)


def images_split(root: Path, split: str) -> None:
    images(root / "images" / split, split)
    coco(root / "annotations" / f"instances_{split}.json", split)


def split_images(root: Path, split: str) -> None:
    images(root / split / "images", split)
    coco(root / "annotations" / f"instances_{split}.json", split)


def images_for_all(root: Path, split: str) -> None:
    images(root / "images", split)
    coco(root / "annotations" / f"instances_{split}.json", split)


def from_the_root(root: Path, split: str) -> None:
    images(root / "photos", split)
    coco(root / "annotations" / f"{split}.json", split, prefix="photos/")


def roboflow(root: Path, split: str) -> None:
    directory = root / {"val": "valid"}.get(split, split)
    images(directory, split)
    coco(directory / "_annotations.coco.json", split)


def voc_lists(root: Path, split: str) -> None:
    images(root / "JPEGImages", split)
    voc(root / "Annotations", split)
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True, exist_ok=True)
    (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in SPLITS[split]))
    (lists / f"dog_{split}.txt").write_text("a -1\n")


def voc_roboflow(root: Path, split: str) -> None:
    directory = root / {"val": "valid"}.get(split, split)
    images(directory, split)
    voc(directory, split)


def yolo_images_split(root: Path, split: str) -> None:
    images(root / "images" / split, split)
    yolo(root / "labels" / split, split)
    (root / "data.yaml").write_text(
        "path: /content/somewhere\ntrain: images/train\nval: images/val\n"
        "names:\n  0: cat\n  1: dog\n"
    )


def yolo_roboflow(root: Path, split: str) -> None:
    directory = root / {"val": "valid"}.get(split, split)
    images(directory / "images", split)
    yolo(directory / "labels", split)
    (root / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['cat', 'dog']\n"
    )


def yolo_lists(root: Path, split: str) -> None:
    yolo_images_split(root, split)
    lines = "".join(f"./images/{split}/{name}.jpg\n" for name in SPLITS[split])
    (root / f"{split}.txt").write_text(lines)
    (root / "data.yaml").write_text("train: train.txt\nval: val.txt\nnames: [cat, dog]\n")


def yolo_without_yaml(root: Path, split: str) -> None:
    images(root / "images" / split, split)
    yolo(root / "labels" / split, split)
    (root / "classes.txt").write_text("cat\ndog\n", encoding="utf-16")


def yolo_names_alone(root: Path, split: str) -> None:
    yolo_roboflow(root, split)
    (root / "data.yaml").write_text("names: [cat, dog]\n", encoding="utf-8-sig")


def yolo_of_another_computer(root: Path, split: str) -> None:
    yolo_images_split(root, split)
    lines = "".join(f"C:\\pets\\images\\{split}\\{name}.jpg\n" for name in SPLITS[split])
    (root / f"{split}.txt").write_text(lines, encoding="utf-8-sig")
    (root / "data.yaml").write_text(
        "train: /home/me/pets/train.txt\nval: /home/me/pets/val.txt\nnames: [cat, dog]\n"
    )


def yolo_darknet(root: Path, split: str) -> None:
    images(root / "obj_train_data", split)
    yolo(root / "obj_train_data", split)
    lines = "".join(f"data/obj_train_data/{name}.jpg\n" for name in SPLITS[split])
    (root / f"{split}.txt").write_text(lines)
    (root / "obj.names").write_text("cat\ndog\n")
    (root / "obj.data").write_text(
        "classes = 2\ntrain = data/train.txt\nvalid = data/val.txt\nnames = data/obj.names\n"
    )


def voc_by_case(root: Path, split: str) -> None:
    voc_roboflow(root, split)
    name = {"val": "valid"}.get(split, split)
    (root / name).rename(root / name.title())


def labels_by_split(root: Path, split: str) -> None:
    images(root / "images", split)
    coco(root / f"labels_{split}.json", split)


WITH_SPLITS = [
    coco_2017, images_split, split_images, images_for_all, from_the_root, roboflow,
    voc_lists, voc_roboflow, voc_by_case, labels_by_split, yolo_images_split, yolo_roboflow,
    yolo_lists, yolo_without_yaml, yolo_names_alone, yolo_of_another_computer, yolo_darknet,
]  # fmt: skip


def assert_same_split(root: Path, split: str) -> None:
    """The split has the images and objects of `SPLITS`, to the last bit."""
    dataset = CocoDataset(root, split, classes=["cat", "dog"], strict=True)
    infos = [dataset.info(index) for index in range(len(dataset))]
    assert [Path(info.path).stem for info in infos] == list(SPLITS[split])
    for index, name in enumerate(SPLITS[split]):
        sample = dataset.load(index)
        wanted = np.array([box for _, box in BOXES[name]], np.float32)
        wanted[:, 2:] += wanted[:, :2]
        np.testing.assert_array_equal(sample.boxes, wanted)
        names = [dataset.classes[label] for label in sample.labels]
        assert names == [category for category, _ in BOXES[name]]
    truth = dataset.ground_truth()
    boxes = [entry["bbox"] for entry in truth["annotations"]]
    areas = [entry["area"] for entry in truth["annotations"]]
    wanted_boxes = [box for name in SPLITS[split] for _, box in BOXES[name]]
    np.testing.assert_allclose(boxes, wanted_boxes, rtol=1e-13)
    np.testing.assert_allclose(areas, [w * h for _, _, w, h in wanted_boxes], rtol=1e-13)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("layout", WITH_SPLITS, ids=lambda layout: layout.__name__)
def test_a_layout_with_splits_gives_the_same_data(tmp_path: Path, layout: Any, split: str) -> None:
    per_split(tmp_path, layout)
    assert_same_split(tmp_path, split)


def cvat(root: Path) -> None:
    images(root / "images" / "default")
    coco(root / "annotations" / "instances_default.json")


def label_studio(root: Path) -> None:
    images(root / "images")
    coco(root / "result.json", prefix="images\\")


def flat(root: Path) -> None:
    images(root)
    coco(root / "labels.json")


def flat_with_images(root: Path) -> None:
    images(root / "images")
    coco(root / "my-labels.json")
    (root / "._my-labels.json").write_text("macOS leaves such files")


def voc_whole(root: Path) -> None:
    images(root / "images")
    voc(root / "annotations")


def voc_flat(root: Path) -> None:
    images(root)
    voc(root)


def yolo_whole(root: Path) -> None:
    images(root / "images")
    yolo(root / "labels")
    (root / "classes.txt").write_text("cat\ndog\n")


def yolo_flat(root: Path) -> None:
    images(root)
    yolo(root)
    (root / "classes.txt").write_text("cat\r\ndog\r\n")


WHOLE = [cvat, label_studio, flat, flat_with_images, voc_whole, voc_flat, yolo_whole, yolo_flat]


@pytest.mark.parametrize("layout", WHOLE, ids=lambda layout: layout.__name__)
def test_a_layout_without_splits_gives_all_images(tmp_path: Path, layout: Any) -> None:
    layout(tmp_path)
    assert_same_split(tmp_path, "train")


def test_a_split_is_found_whatever_the_case_of_its_name(tmp_path: Path) -> None:
    images(tmp_path / "images" / "Train")
    coco(tmp_path / "annotations" / "instances_Train.json")
    coco(tmp_path / "annotations" / "instances_Validation.json")
    assert_same_split(tmp_path, "train")
    assert find_split(tmp_path, "val").name == "Validation"


# File names


SPELLINGS = ["{}", "train/{}", "./{}", "train\\{}", "sub/../{}", "sub%20dir/{}", "../train/{}"]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_file_name_is_found_in_all_its_spellings(tmp_path: Path, spelling: str) -> None:
    images(tmp_path / "train")
    (tmp_path / "train" / "sub").mkdir()
    images(tmp_path / "train" / "sub dir")
    coco(tmp_path / "annotations" / "instances_train.json", prefix=spelling.format(""))
    assert_same_split(tmp_path, "train")


@pytest.mark.parametrize("prefix", ["../../", "/../", "..%2f..%2f", "..\\..\\", "a/../../../"])
def test_a_file_name_that_leaves_the_data_directory_is_refused(tmp_path: Path, prefix: str) -> None:
    root = tmp_path / "data"
    images(root / "train")
    images(tmp_path)  # the file is there
    coco(root / "annotations" / "instances_train.json", prefix=prefix)
    refused_content(root, "in the data directory", prefix.replace("\\", "\\\\"))


def refused_content(root: Path, *words: str) -> None:
    with pytest.raises(UserError) as caught:
        CocoDataset(root, "train")
    for word in words:
        assert word in str(caught.value)


ELSEWHERE = ["/home/me/pets/{}", "C:\\pets\\train\\{}", "d:/pets/{}", "\\\\server\\pets\\{}",
             "https://example.com/pets/{}", "/data/local-files/?d=train/{}"]  # fmt: skip


@pytest.mark.parametrize("spelling", ELSEWHERE)
def test_a_name_of_another_computer_is_found_by_its_last_parts(
    tmp_path: Path, spelling: str
) -> None:
    images(tmp_path / "train")
    coco(tmp_path / "annotations" / "instances_train.json", prefix=spelling.format(""))
    assert_same_split(tmp_path, "train")
    notes = CocoDataset(tmp_path, "train").notes
    assert any("2 of 2 images" in note and "last parts" in note for note in notes)


def test_most_of_the_last_parts_decide(tmp_path: Path) -> None:
    (tmp_path / "train" / "b").mkdir(parents=True)
    for place in ("a.jpg", "b/a.jpg"):
        (tmp_path / "train" / place).write_bytes(b"")
    finder = ImageFinder([tmp_path / "train"], tmp_path)
    found = [finder.find_last_parts(f"C:\\x\\{name}") for name in ("b\\a.jpg", "c\\a.jpg", "d.jpg")]
    assert found == [str(tmp_path / "train" / name) for name in ("b/a.jpg", "a.jpg")] + [None]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("100%.jpg", "100%.jpg"),
        ("a%20b.jpg", "a%20b.jpg"),
        ("a%20b.jpg", "a b.jpg"),
        ("caf\u00e9.jpg", "cafe\u0301.jpg"),
        ("cafe\u0301.jpg", "caf\u00e9.jpg"),
        ("caf%C3%A9.jpg", "cafe\u0301.jpg"),
        ("a.JPG", "a.jpg"),
        ("a.jpg", "a.JPG"),
    ],
)
def test_a_name_with_odd_characters_is_found(tmp_path: Path, name: str, file: str) -> None:
    (tmp_path / file).write_bytes(b"")
    assert ImageFinder([tmp_path], tmp_path).find(name) == str(tmp_path / file)


@pytest.mark.parametrize("name", ["a\0.jpg", "\ud800.jpg", "", ".", "x" * 5000])
def test_a_name_that_no_file_can_have_is_not_found(tmp_path: Path, name: str) -> None:
    assert ImageFinder([tmp_path], tmp_path).find(name) is None


def test_a_linked_directory_is_the_users_own(tmp_path: Path) -> None:
    images(tmp_path / "elsewhere")
    root = tmp_path / "data"
    coco(root / "annotations" / "instances_train.json")
    os.symlink(tmp_path / "elsewhere", root / "train")
    assert_same_split(root, "train")


def test_a_missing_image_says_where_it_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    coco(tmp_path / "annotations" / "instances_train.json")
    refused_content(tmp_path, f"{tmp_path / 'train' / 'a.jpg'}", f"nor in {tmp_path}")


# Layouts that are not recognised


def test_what_was_seen_is_said(tmp_path: Path) -> None:
    voc(tmp_path / "labels" / "deep")
    refused(tmp_path, "2 .xml files", "Pascal VOC without", "data.train_annotations")
    yolo(tmp_path / "other")
    images(tmp_path / "other")
    shutil.rmtree(tmp_path / "labels")
    refused(tmp_path, "2 .txt files", "YOLO without data.yaml")


def test_a_json_file_for_each_image_is_no_split(tmp_path: Path) -> None:
    images(tmp_path)
    for name in SPLITS["train"]:
        (tmp_path / f"{name}.json").write_text('{"shapes": []}')
    refused(tmp_path, "2 .json files", "LabelMe", "COCO")


def test_a_file_is_answered_by_its_directory(tmp_path: Path) -> None:
    yolo_images_split(tmp_path, "train")
    refused(tmp_path / "data.yaml", "found a file", str(tmp_path), "data.train_annotations")


def test_many_splits_are_not_all_listed(tmp_path: Path) -> None:
    make(tmp_path, *annotation_files(*(f"part{number:02d}" for number in range(30))))
    refused(tmp_path, "part07 and 22 more", field="split")


def test_a_dataset_one_level_deeper_is_named(tmp_path: Path) -> None:
    per_split(tmp_path / "VOC2012", voc_lists)
    refused(tmp_path, "Pascal VOC", str(tmp_path / "VOC2012"))


@pytest.mark.parametrize("value", ["/etc", "../../elsewhere", "missing"])
def test_a_data_yaml_that_leads_outside_is_refused(tmp_path: Path, value: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    root = tmp_path / "data"
    yolo(root / "labels")
    (root / "data.yaml").write_text(f"train: {value}\nnames: [cat]\n")
    with pytest.raises(UserError, match=r"data\.yaml.*'train'"):
        read_split(find_split(root, "train"))
