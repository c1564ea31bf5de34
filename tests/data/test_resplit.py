"""A dataset with other splits: nothing is lost, and what belongs together stays together."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cornernet.data.images import read_image
from cornernet.data.reader import read_splits
from cornernet.data.resplit import split_dataset
from cornernet.data.synthetic import synthesize
from cornernet.errors import UserError


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("resplit") / "shapes"
    return synthesize(root, train=16, val=8, min_side=64, max_side=96)


def objects(root: Path) -> dict[str, list[Any]]:
    """Class and box of all objects, by split."""
    found = {}
    for name, split in read_splits(root).items():
        found[name] = [
            (split.parsed.classes[label], tuple(box))
            for record in split.parsed.records
            for label, box in zip(record.truth.labels, record.truth.boxes.tolist(), strict=True)
        ]
    return found


@pytest.mark.parametrize("to", ["coco", "voc", "yolo"])
def test_all_objects_are_shared_out(shapes: Path, tmp_path: Path, to: str) -> None:
    seen: list[None] = []
    lines = split_dataset(
        shapes, tmp_path / "out", {"val": 0.25, "test": 0.125}, to=to,
        threads=2, progress=lambda: seen.append(None),
    )  # fmt: skip
    assert len(seen) == 24
    splits = read_splits(tmp_path / "out")
    assert {name: len(split.parsed.records) for name, split in splits.items()} == {
        "train": 15, "val": 6, "test": 3,
    }  # fmt: skip
    assert any(line.startswith("val: 6 images") for line in lines)
    before, after = objects(shapes), objects(tmp_path / "out")
    assert sorted(sum(before.values(), [])) == sorted(sum(after.values(), []))
    assert len({name for name, _ in after["val"]}) == 5


def test_the_seed_decides(shapes: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        split_dataset(shapes, tmp_path / name, {"val": 0.5}, to="coco", seed=seed)
    first, same, other = (objects(tmp_path / name) for name in "abc")
    assert first == same != other


@pytest.mark.parametrize("seed", range(3))
def test_images_of_the_same_content_stay_together(shapes: Path, tmp_path: Path, seed: int) -> None:
    root = shutil.copytree(shapes, tmp_path / "in")
    shutil.copy(root / "train" / "000001.jpg", root / "val" / "000001.jpg")
    first = (root / "train" / "000001.jpg").read_bytes()
    comment = b"\xff\xfe\x00\x06more"
    (root / "train" / "000002.jpg").write_bytes(first[:2] + comment + first[2:])
    pixels = read_image(root / "train" / "000001.jpg")
    for split, file in (("val", "000001.jpg"), ("train", "000002.jpg")):
        path = root / "annotations" / f"instances_{split}.json"
        annotations = json.loads(path.read_text())
        (entry,) = (image for image in annotations["images"] if image["file_name"] == file)
        entry["height"], entry["width"] = pixels.shape[:2]
        path.write_text(json.dumps(annotations))
    lines = split_dataset(root, tmp_path / "out", {"val": 0.5}, to="coco", seed=seed)
    assert any(line.startswith("3 images have the content") for line in lines)
    places = []
    for name, found in read_splits(tmp_path / "out").items():
        for record in found.parsed.records:
            if np.array_equal(read_image(record.info.path), pixels):
                places.append(name)
    assert len(places) == 3 and len(set(places)) == 1


def test_images_of_one_group_stay_together(shapes: Path, tmp_path: Path) -> None:
    split_dataset(shapes, tmp_path / "out", {"val": 0.4}, to="voc", group="^0000(.)")
    # 000001 to 000009 are one group, 000010 to 000016 another; each name is there in both splits.
    groups: dict[str, set[str]] = {}
    for name, split in read_splits(tmp_path / "out").items():
        for record in split.parsed.records:
            groups.setdefault(record.info.file_name[:5], set()).add(name)
    assert groups.keys() == {"00000", "00001"}
    assert sorted(map(len, groups.values())) == [1, 1]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"shares": {"val": 1.0}}, "val"),
        ({"shares": {"val": -0.1}}, "val"),
        ({"shares": {"val": float("nan")}}, "val"),
        ({"shares": {"val": 0.6, "test": 0.5}}, "val"),
        ({"shares": {"val": 0.0}}, "val"),
        ({"seed": -1}, "seed"),
        ({"group": "("}, "group"),
        ({"group": "."}, None),
    ],
)
def test_what_cannot_be_split_is_refused(
    shapes: Path, tmp_path: Path, change: dict[str, Any], field: str | None
) -> None:
    words: dict[str, Any] = {"shares": {"val": 0.2}, "to": "coco"} | change
    with pytest.raises(UserError) as caught:
        split_dataset(shapes, tmp_path / "out", words.pop("shares"), **words)
    assert caught.value.field == field
    assert not list(tmp_path.iterdir())
