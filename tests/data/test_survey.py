"""What a look at a whole dataset finds in its images and annotations."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cornernet.data import inspection
from cornernet.data.images import read_file, write_image
from cornernet.data.inspection import Inspection, inspect_image
from cornernet.data.parse import ImageInfo
from cornernet.data.reader import read_splits
from cornernet.data.survey import Survey, survey


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three training and two validation images, all different, each with one object."""
    (tmp_path / "annotations").mkdir()
    for place, (split, names) in enumerate({"train": "abc", "val": "de"}.items()):
        (tmp_path / split).mkdir()
        for value, name in enumerate(names):
            pixels = np.full((40, 50, 3), 40 * place + 10 * value, np.uint8)
            write_image(tmp_path / split / f"{name}.jpg", pixels)
        save(tmp_path, split, content(names))
    return tmp_path


def content(names: str) -> dict[str, Any]:
    return {
        "images": [
            {"id": place, "file_name": f"{name}.jpg", "width": 50, "height": 40}
            for place, name in enumerate(names)
        ],
        "annotations": [
            {"id": place, "image_id": place, "category_id": 1, "bbox": [1, 2, 3 + 30 * place, 30]}
            for place, _ in enumerate(names)
        ],
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "cat"}],
    }


def save(root: Path, split: str, data: dict[str, Any]) -> None:
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(data))


def look(root: Path) -> Survey:
    splits = read_splits(root)
    seen: list[None] = []
    found = survey(splits, 2, lambda: seen.append(None))
    assert len(seen) == sum(len(split.parsed.records) for split in splits.values())
    return found


def kinds(found: Survey) -> dict[str, tuple[str, str, int]]:
    return {item.kind: (item.split, item.severity, item.count) for item in found.findings}


def test_a_good_dataset_is_counted(root: Path) -> None:
    found = look(root)
    assert found.usable and not found.findings
    assert found.layout == "COCO"
    counts = found.splits["train"]
    assert (counts["images"], counts["objects"], counts["images without objects"]) == (3, 3, 0)
    assert counts["objects by class"] == {"cup": 3, "cat": 0}
    assert counts["objects by size"] == {"small": 2, "medium": 1, "large": 0}
    assert json.dumps(found.splits)  # plain data


def test_an_unreadable_image_is_an_error(root: Path) -> None:
    file = root / "train" / "b.jpg"
    file.write_bytes(file.read_bytes()[:-40])
    (root / "val" / "d.jpg").write_bytes(b"")
    found = look(root)
    assert not found.usable
    assert [(item.split, item.kind) for item in found.findings] == [
        ("train", "truncated image"), ("val", "unreadable image"),
    ]  # fmt: skip
    assert "b.jpg" in found.findings[0].text
    assert [item.items for item in found.findings] == [("b.jpg",), ("d.jpg",)]


def test_a_wrong_size_is_an_error_whatever_its_boxes(root: Path) -> None:
    write_image(root / "train" / "b.jpg", np.zeros((90, 90, 3), np.uint8))
    found = look(root)
    assert kinds(found) == {"wrong annotated size": ("train", "error", 1)}
    assert not found.usable


def test_a_missing_image_is_one_error(root: Path) -> None:
    (root / "train" / "b.jpg").unlink()
    assert kinds(look(root)) == {"missing image file": ("train", "error", 1)}


def test_images_of_the_same_content_are_found_within_and_between_splits(root: Path) -> None:
    shutil.copy(root / "train" / "a.jpg", root / "train" / "b.jpg")
    shutil.copy(root / "train" / "c.jpg", root / "val" / "e.jpg")
    found = look(root)
    assert kinds(found) == {
        "repeated image": ("train", "note", 1),
        "image in several splits": ("train and val", "note", 1),
    }
    assert found.usable
    text = next(item.text for item in found.findings if "several" in item.kind)
    assert "train: c.jpg" in text and "val: e.jpg" in text


def test_the_same_image_in_another_file_is_found(root: Path) -> None:
    shutil.copy(root / "train" / "c.jpg", root / "train" / "a.jpg")
    content = (root / "train" / "c.jpg").read_bytes()
    (root / "train" / "b.jpg").write_bytes(content[:2] + b"\xff\xfe\x00\x06more" + content[2:])
    found = look(root)
    assert kinds(found)["repeated image"] == ("train", "note", 1)
    (item,) = (item for item in found.findings if item.kind == "repeated image")
    assert item.items == ("train: a.jpg = train: b.jpg = train: c.jpg",)


def test_images_of_one_brightness_and_other_colours_are_different(root: Path) -> None:
    colours = (200, 0, 0), (0, 101, 5), (59, 59, 70)
    for name, colour in zip("abc", colours, strict=True):
        pixels = np.full((40, 50, 3), colour, np.uint8)
        Image.fromarray(pixels).save(root / "train" / f"{name}.jpg", format="PNG")
    looks = [
        inspect_image(record.info, root) for record in read_splits(root)["train"].parsed.records
    ]
    assert len({image.content for image in looks}) < 3  # or this test shows nothing
    assert set(kinds(look(root))) == {"wrong suffix"}


def test_every_file_is_read_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(path: str) -> bytes:
        read.append(path)
        return read_file(path)

    monkeypatch.setattr(inspection, "read_file", counted)
    look(root)
    assert len(read) == len(set(read)) == 5


def test_an_object_twice_is_found(root: Path) -> None:
    data = content("abc")
    data["annotations"].append(data["annotations"][1] | {"id": 77})
    data["annotations"].append(data["annotations"][1] | {"id": 78, "category_id": 2})
    save(root, "train", data)
    assert kinds(look(root)) == {"repeated object": ("train", "note", 1)}


def test_bad_boxes_are_counted_and_can_be_trained_with(root: Path) -> None:
    data = content("abc")
    data["annotations"][0]["bbox"] = [1, 1, 0, 5]
    save(root, "train", data)
    found = look(root)
    assert kinds(found) == {"zero or negative width or height": ("train", "dropped", 1)}
    assert found.usable
    assert found.splits["train"]["images without objects"] == 1


def test_files_that_need_repair_are_named(root: Path) -> None:
    Image.open(root / "train" / "a.jpg").save(root / "train" / "a.png")
    shutil.move(root / "train" / "a.png", root / "train" / "a.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (50, 40)).save(root / "train" / "b.jpg", exif=exif)
    assert kinds(look(root)) == {
        "wrong suffix": ("train", "note", 1),
        "EXIF orientation that the annotations leave out": ("train", "note", 1),
    }


@pytest.mark.parametrize(
    ("size", "orientation", "noted"),
    [((50, 40), 1, False), ((50, 40), 3, True), ((40, 50), 6, False), ((50, 50), 8, True)],
)
def test_an_orientation_that_no_size_confirms_is_noted(
    root: Path, size: tuple[int, int], orientation: int, noted: bool
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size, (9, 90, 200)).save(root / "train" / "b.jpg", exif=exif)
    data = content("abc")
    if size == (50, 50):
        data["images"][1]["height"] = 50
    save(root, "train", data)
    wanted = {"EXIF orientation that the size does not confirm": ("train", "note", 1)}
    assert kinds(look(root)) == (wanted if noted else {})


def test_a_look_that_is_interrupted_leaves_what_is_waiting(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def slow(info: ImageInfo, annotations: Path) -> Inspection:
        looked.append(info.path)
        time.sleep(0.001)
        return Inspection()

    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cornernet.data.inspection.inspect_image", slow)
    data = content("abc")
    data["images"] = [data["images"][0] | {"id": number} for number in range(1000)]
    save(root, "train", data)
    with pytest.raises(KeyboardInterrupt):
        survey(read_splits(root), 1, stop)
    assert len(looked) < 500
