"""Pascal VOC and YOLO: what their files mean, and files that are broken or hostile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cornernet.data import checks
from cornernet.data.coco import CocoDataset
from cornernet.data.images import write_image
from cornernet.data.layouts import find_split
from cornernet.data.reader import Split, read_split
from cornernet.errors import UserError

WIDTH, HEIGHT = 80, 40
SIZE = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"


def voc_object(name: str, *corners: object, more: str = "") -> str:
    keys = ("xmin", "ymin", "xmax", "ymax")
    values = "".join(f"<{key}>{value}</{key}>" for key, value in zip(keys, corners, strict=True))
    return f"<object><name>{name}</name>{more}<bndbox>{values}</bndbox></object>"


def voc(root: Path, body: str, name: str = "a") -> Path:
    (root / "Annotations").mkdir(parents=True, exist_ok=True)
    (root / "JPEGImages").mkdir(exist_ok=True)
    (root / "Annotations" / f"{name}.xml").write_text(body)
    write_image(root / "JPEGImages" / f"{name}.jpg", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    return root


def yolo(root: Path, lines: str) -> Path:
    for name in ("images", "labels"):
        (root / name).mkdir(parents=True)
    (root / "data.yaml").write_text("train: images\nnames: {0: cat, 3: dog}\n")
    (root / "labels" / "a.txt").write_text(lines)
    write_image(root / "images" / "a.jpg", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    return root


def read(root: Path) -> Split:
    return read_split(find_split(root, "train"))


def kinds(split: Split) -> list[checks.Kind]:
    return [issue.kind for issue in split.issues]


# Pascal VOC


def test_pixels_count_from_one_and_corners_are_inside(tmp_path: Path) -> None:
    body = SIZE + voc_object("cup", 1, 1, WIDTH, HEIGHT) + voc_object("ant", 11, 6, "20.5", 7)
    dataset = CocoDataset(voc(tmp_path, f"<annotation>{body}</annotation>"), "train")
    assert dataset.classes == ["ant", "cup"]
    np.testing.assert_array_equal(dataset.load(0).boxes, [[0, 0, WIDTH, HEIGHT], [10, 5, 20.5, 7]])


@pytest.mark.parametrize("size", ["", "<size><width>0</width><height>0</height></size>"])
@pytest.mark.parametrize("filename", ["", "<filename>gone.png</filename>"])
def test_a_size_and_a_name_that_are_missing_come_from_the_image(
    tmp_path: Path, size: str, filename: str
) -> None:
    body = filename + size + voc_object("cup", 1, 1, 9, 9)
    dataset = CocoDataset(voc(tmp_path, f"<annotation>{body}</annotation>"), "train")
    assert (dataset.info(0).width, dataset.info(0).height) == (WIDTH, HEIGHT)


def test_difficult_objects_are_not_learnt(tmp_path: Path) -> None:
    body = SIZE + voc_object("cup", 1, 1, 9, 9, more="<difficult>1</difficult>")
    body += voc_object("cup", 3, 3, 9, 9, more="<difficult>0</difficult>")
    dataset = CocoDataset(voc(tmp_path, f"<annotation>{body}</annotation>"), "train")
    np.testing.assert_array_equal(dataset.load(0).boxes, [[2, 2, 9, 9]])
    assert any("ignore" in note for note in dataset.notes)


def test_boxes_of_parts_are_not_those_of_the_object(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>2</xmin></bndbox></part>"
    body = SIZE + voc_object("person", 1, 1, 9, 9, more=part)
    dataset = CocoDataset(voc(tmp_path, f"<annotation>{body}</annotation>"), "train")
    assert dataset.classes == ["person"]
    np.testing.assert_array_equal(dataset.load(0).boxes, [[0, 0, 9, 9]])


def test_a_broken_box_is_dropped_by_the_name_of_its_file(tmp_path: Path) -> None:
    body = SIZE + voc_object("cup", 1, 1, 9, 9) + voc_object("cup", "x", 1, 9, 9)
    body += voc_object("cup", 9, 9, 3, 3)
    with pytest.warns(UserWarning, match=r"dropped 2 of 3.*a\.xml:2, a\.xml:3"):
        CocoDataset(voc(tmp_path, f"<annotation>{body}</annotation>"), "train")


BOMB = """<!DOCTYPE annotation [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<annotation><filename>&b;</filename></annotation>"""
OUTSIDE = """<!DOCTYPE annotation [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<annotation><filename>&a;</filename></annotation>"""


@pytest.mark.parametrize("body", [BOMB, OUTSIDE, "", "<annotation>", "words", "\0"])
def test_xml_that_is_broken_or_hostile_is_refused(tmp_path: Path, body: str) -> None:
    voc(tmp_path, f"<annotation>{SIZE}{voc_object('cup', 1, 1, 9, 9)}</annotation>")
    voc(tmp_path, body, name="b")
    assert kinds(read(tmp_path)) == [checks.UNREADABLE]
    with pytest.raises(UserError, match=r"b\.xml: expected an annotation in XML"):
        CocoDataset(tmp_path, "train")


def test_a_listed_image_without_its_file_is_named(tmp_path: Path) -> None:
    voc(tmp_path, f"<annotation>{SIZE}{voc_object('cup', 1, 1, 9, 9)}</annotation>")
    (tmp_path / "ImageSets").mkdir()
    (tmp_path / "ImageSets" / "train.txt").write_text("a\nsub/missing.jpg\n\n")
    assert kinds(read(tmp_path)) == [checks.UNREADABLE]
    with pytest.raises(UserError, match=r"missing\.xml"):
        CocoDataset(tmp_path, "train")


@pytest.mark.parametrize("line", ["one two.three", "one two.three.jpg", "sub\\one two.three"])
def test_stems_may_have_blanks_and_dots(tmp_path: Path, line: str) -> None:
    name = "one two.three"
    voc(tmp_path, f"<annotation>{SIZE}{voc_object('cup', 1, 1, 9, 9)}</annotation>", name=name)
    (tmp_path / "ImageSets").mkdir()
    (tmp_path / "ImageSets" / "train.txt").write_text(f"{line}\n{line}\n", encoding="utf-8-sig")
    dataset = CocoDataset(tmp_path, "train", strict=True)
    assert [dataset.info(0).file_name, len(dataset)] == [f"{name}.jpg", 1]


def test_xml_that_is_no_annotation_of_voc_says_what_it_is(tmp_path: Path) -> None:
    voc(tmp_path, '<annotations><image id="0" name="a.jpg"/></annotations>')
    with pytest.raises(UserError, match=r"a\.xml.*<annotations>.*CVAT.*COCO"):
        CocoDataset(tmp_path, "train")


def test_xml_may_be_in_utf16(tmp_path: Path) -> None:
    voc(tmp_path, "")
    body = f"<annotation>{SIZE}{voc_object('dög', 1, 1, 9, 9)}</annotation>"
    (tmp_path / "Annotations" / "a.xml").write_text(body, encoding="utf-16")
    assert CocoDataset(tmp_path, "train").classes == ["dög"]


@pytest.mark.parametrize("line", ["\0", "a\0", "x" * 9999])
def test_a_line_that_is_no_name_is_a_missing_file(tmp_path: Path, line: str) -> None:
    voc(tmp_path, f"<annotation>{SIZE}{voc_object('cup', 1, 1, 9, 9)}</annotation>")
    (tmp_path / "ImageSets").mkdir()
    (tmp_path / "ImageSets" / "train.txt").write_text(f"a\n{line}\n")
    assert kinds(read(tmp_path)) == [checks.UNREADABLE]


def test_a_list_of_labels_gives_their_order(tmp_path: Path) -> None:
    objects = "".join(voc_object(name, 1, 1, 9, 9) for name in ("ant", "bee", "cup"))
    voc(tmp_path, f"<annotation>{SIZE}{objects}</annotation>")
    (tmp_path / "labels.txt").write_text("cup\n\nbee\n")
    dataset = CocoDataset(tmp_path, "train")
    assert dataset.classes == ["cup", "bee", "ant"]
    assert dataset.load(0).labels.tolist() == [2, 1, 0]


# YOLO


def test_lines_are_centres_and_sizes_or_polygons(tmp_path: Path) -> None:
    lines = "3 0.5 0.5 0.25 0.5\n\n0.0 0.25 0.25 0.5 0.25 0.5 0.75\n"
    dataset = CocoDataset(yolo(tmp_path, lines), "train")
    assert (dataset.classes, dataset.category_ids) == (["cat", "dog"], [0, 3])
    sample = dataset.load(0)
    np.testing.assert_array_equal(sample.boxes, [[30, 10, 50, 30], [20, 10, 40, 30]])
    assert sample.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("7 0.5 0.5 0.1 0.1", checks.UNKNOWN_CATEGORY),
        ("cat 0.5 0.5 0.1 0.1", checks.UNKNOWN_CATEGORY),
        ("0 0.5 0.5 0.1", checks.NOT_A_BOX),
        ("0 0.5 0.5 nan 0.1", checks.NOT_A_BOX),
        ("0 0.5 0.5 0.1 0.1 0.9", checks.NOT_A_BOX),
        ("0 0.5 0.5 0 0.1", checks.EMPTY_BOX),
        ("0 40 20 10 10", checks.OUTSIDE),
    ],
)
def test_a_bad_line_is_dropped_by_its_number(tmp_path: Path, line: str, kind: checks.Kind) -> None:
    split = read(yolo(tmp_path, f"0 0.5 0.5 0.5 0.5\n{line}\n"))
    (issue,) = split.issues
    assert (issue.kind, issue.ids) == (kind, ("a.txt:2",))


def test_an_image_without_a_label_file_has_no_objects(tmp_path: Path) -> None:
    root = yolo(tmp_path, "0 0.5 0.5 0.5 0.5\n")
    write_image(root / "images" / "b.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    (root / "images" / "._a.jpg").write_bytes(b"left by macOS")
    assert [len(record.boxes) for record in read(root).parsed.records] == [1, 0]


def test_keypoints_behind_a_box_are_no_polygon(tmp_path: Path) -> None:
    root = yolo(tmp_path, "0 0.5 0.5 0.5 0.5 0.1 0.2 0.3 0.4\n0 0.5 0.5 0.25 0.5\n")
    with (root / "data.yaml").open("a") as file:
        file.write("kpt_shape: [2, 2]\n")
    boxes = read(root).parsed.records[0].boxes
    np.testing.assert_array_equal(boxes, [[20, 10, 60, 30], [30, 10, 50, 30]])


def test_rotated_boxes_become_the_boxes_around_them(tmp_path: Path) -> None:
    root = yolo(tmp_path, "0 0.5 0.25 0.75 0.5 0.5 0.75 0.25 0.5\n")
    boxes = read(root).parsed.records[0].boxes
    np.testing.assert_array_equal(boxes, [[20, 10, 60, 30]])


@pytest.mark.parametrize("names", ["[no, 1e3, 007, ~]", "{0: no, 1: 1e3, 2: 007, 3: ~}"])
def test_names_that_yaml_takes_for_other_things_are_text(tmp_path: Path, names: str) -> None:
    root = yolo(tmp_path, "")
    (root / "data.yaml").write_text(f"train: images\nnames: {names}\n")
    assert read(root).parsed.classes == ["no", "1e3", "007", "~"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_text_files_may_have_byte_order_marks(tmp_path: Path, encoding: str) -> None:
    root = yolo(tmp_path, "")
    (root / "labels" / "a.txt").write_text("3 0.5 0.5 0.25 0.5\n", encoding=encoding)
    (root / "data.yaml").write_text("train: images\nnames: {3: dög}\n", encoding=encoding)
    split = read(root)
    assert (split.parsed.classes, len(split.parsed.records[0].boxes)) == (["dög"], 1)


def test_a_directory_above_the_dataset_may_be_called_images(tmp_path: Path) -> None:
    root = tmp_path / "images" / "mine"
    yolo(root, "0 0.5 0.5 0.5 0.5\n")
    (root / "images").rename(root / "photos")
    (root / "labels" / "a.txt").rename(root / "photos" / "a.txt")
    (root / "data.yaml").write_text("train: photos\nnames: [cat]\n")
    assert [len(record.boxes) for record in read(root).parsed.records] == [1]


def test_a_turned_photograph_is_as_it_is_seen(tmp_path: Path) -> None:
    root = yolo(tmp_path, "0 0.5 0.5 0.5 0.5\n")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (WIDTH, HEIGHT)).save(root / "images" / "a.jpg", exif=exif)
    dataset = CocoDataset(root, "train")
    assert dataset.load(0).image.shape == (WIDTH, HEIGHT, 3)
    np.testing.assert_array_equal(dataset.load(0).boxes, [[10, 20, 30, 60]])


def test_an_image_without_a_readable_size_is_named(tmp_path: Path) -> None:
    root = yolo(tmp_path, "0 0.5 0.5 0.5 0.5\n")
    (root / "images" / "b.jpg").write_bytes(b"no image")
    assert kinds(read(root)) == [checks.UNREADABLE]


@pytest.mark.parametrize(
    "text",
    [
        "names: [",
        "train: images\n",
        "- 1",
        "names: {a: b}\ntrain: images",
        "a: &a [x]\nnames: [*a]\ntrain: images",
    ],
)
def test_a_data_yaml_that_is_broken_is_a_sentence(tmp_path: Path, text: str) -> None:
    (yolo(tmp_path, "") / "data.yaml").write_text(text)
    with pytest.raises(UserError, match=r"data\.yaml"):
        read(tmp_path)


def test_a_data_yaml_makes_no_objects_of_python(tmp_path: Path) -> None:
    text = "names: !!python/object/apply:os.system ['true']\ntrain: images\n"
    (yolo(tmp_path, "") / "data.yaml").write_text(text)
    with pytest.raises(UserError, match=r"data\.yaml: expected YAML"):
        read(tmp_path)
