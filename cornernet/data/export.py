"""Write a dataset in another layout: COCO, Pascal VOC or YOLO."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

import numpy as np
import yaml

from cornernet.data import checks
from cornernet.data.coco import used_classes
from cornernet.data.formats.exact import box_to_voc, box_to_yolo
from cornernet.data.images import image_size
from cornernet.data.parse import Record
from cornernet.data.reader import Split, read_splits
from cornernet.errors import UserError
from cornernet.runtime.files import new_folder

Named = dict[str, Record]
"""The images of a split by the file names that they get."""


def convert(source: str | os.PathLike[str], target: str | os.PathLike[str], to: str) -> list[str]:
    """Copy a dataset in any known layout to a new directory in another one.

    Bad boxes are left out, and so are categories without an object. The directory appears when it
    is complete.

    Args:
        source: the data directory.
        target: the new directory.
        to: one of `FORMATS`.

    Returns:
        A line for each split, and for what was left out.

    Raises:
        UserError: the data cannot be used, or the directory is there already.
    """
    splits, lines = usable_splits(source, target)
    return lines + write_dataset(target, splits, to)


def usable_splits(
    source: str | os.PathLike[str], target: str | os.PathLike[str]
) -> tuple[dict[str, Split], list[str]]:
    """All splits of a dataset that is going to be written again, and a line for what is left out.

    Args:
        source: the data directory.
        target: where it will be written.

    Raises:
        UserError: the data cannot be used, or the directory is there already.
    """
    if Path(target).exists():
        raise UserError(f"{target}: expected a new directory, found one; choose another name")
    splits = read_splits(source)
    lines = []
    for split in splits.values():
        checks.refuse_errors(split.files.annotations, split.issues, strict=False)
        lines += [
            f"left out: {issue}" for issue in split.issues if issue.kind.severity == "dropped"
        ]
    return splits, lines


def write_dataset(
    target: str | os.PathLike[str], splits: Mapping[str, Split], to: str
) -> list[str]:
    """Write splits to a new directory, which appears when it is complete.

    Args:
        target: the new directory.
        splits: by name.
        to: one of `FORMATS`.

    Returns:
        A line for each split, and for what was left out or cannot be written as it is.

    Raises:
        UserError: the directory cannot be written, or the layout cannot hold the data.
    """
    directory = Path(target)
    used = {name for split in splits.values() for name in used_classes(split.parsed)}
    listed = [name for split in splits.values() for name in split.parsed.classes]
    classes = [name for name in dict.fromkeys(listed) if name in used or not used]
    lines = []
    if unused := [name for name in dict.fromkeys(listed) if name not in classes]:
        lines.append(f"left out: categories without an object: {checks.quoted(unused)}")
    try:
        with new_folder(directory) as unfinished:
            lines += FORMATS[to](unfinished, splits, classes)
    except UnicodeError as error:
        raise UserError(
            f"{directory}: expected names of files and classes that are text, found '{error}'; "
            "rename them"
        ) from None
    except OSError as error:
        raise UserError(
            f"{error.filename or directory}: expected to write here, got the system's error "
            f"'{error.strerror or error}'; check the disk and its permissions"
        ) from None
    return [*lines, *(_counted(name, split) for name, split in splits.items())]


def _counted(name: str, split: Split) -> str:
    records = split.parsed.records
    boxes = sum(len(record.truth.labels) for record in records)
    return f"{name}: {len(records)} images, {boxes} objects"


def _named(splits: Mapping[str, Split], across: bool) -> dict[str, Named]:
    """The images of each split by new names, whose stems are unique.

    Args:
        splits: by name.
        across: whether stems are unique among all splits together.
    """
    taken: set[str] = set()
    found: dict[str, Named] = {}
    for split_name, split in splits.items():
        if not across:
            taken = set()
        named: Named = {}
        for record in split.parsed.records:
            path = Path(record.info.path)
            stem, number = path.stem, 1
            while stem.lower() in taken:
                number += 1
                stem = f"{path.stem}_{number}"
            taken.add(stem.lower())
            named[stem + path.suffix] = record
        found[split_name] = named
    return found


def _copy(named: Named, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, record in named.items():
        shutil.copyfile(record.info.path, directory / name)


def _labels(split: Split, classes: list[str]) -> list[int]:
    """The index in `classes` of each of a split's labels; -1 for a category without an object."""
    place = {name: index for index, name in enumerate(classes)}
    return [place.get(name, -1) for name in split.parsed.classes]


def _write_coco(root: Path, splits: Mapping[str, Split], classes: list[str]) -> list[str]:
    (root / "annotations").mkdir(parents=True)
    categories = [{"id": place, "name": name} for place, name in enumerate(classes, 1)]
    for split_name, named in _named(splits, across=False).items():
        _copy(named, root / split_name)
        label_of = _labels(splits[split_name], classes)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for name, record in named.items():
            info, truth = record.info, record.truth
            size = {"width": info.width, "height": info.height}
            images.append({"id": info.id, "file_name": name} | size)
            for place, box in enumerate(truth.boxes.tolist()):
                entry = {
                    "id": len(annotations) + 1,
                    "image_id": info.id,
                    "category_id": label_of[truth.labels[place]] + 1,
                    "bbox": box,
                    "area": float(truth.areas[place]),
                    "iscrowd": int(truth.crowds[place]),
                }
                annotations.append(entry | ({"ignore": 1} if truth.ignored[place] else {}))
        content = {"images": images, "annotations": annotations, "categories": categories}
        path = root / "annotations" / f"instances_{split_name}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
    return []


def _write_voc(root: Path, splits: Mapping[str, Split], classes: list[str]) -> list[str]:
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (root / "Annotations").mkdir()
    for split_name, named in _named(splits, across=True).items():
        _copy(named, root / "JPEGImages")
        names = splits[split_name].parsed.classes
        for name, record in named.items():
            tree = _voc_tree(name, record, names)
            indent(tree)
            path = root / "Annotations" / f"{Path(name).stem}.xml"
            ElementTree(tree).write(path, encoding="utf-8")
        stems = "".join(f"{Path(name).stem}\n" for name in named)
        (lists / f"{split_name}.txt").write_text(stems, encoding="utf-8")
    _refuse_controls(classes)
    (root / "labels.txt").write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    crowds = _count(splits, lambda record: record.truth.crowds)
    return [f"{crowds} crowds are written as difficult objects"] if crowds else []


def _refuse_controls(classes: list[str]) -> None:
    for name in classes:
        if any(ord(character) < 32 for character in name):
            raise UserError(
                f"expected names of classes that XML can hold, found {name!r}; rename it, or "
                "choose another layout"
            )


def _voc_tree(name: str, record: Record, classes: list[str]) -> Element:
    tree = Element("annotation")
    SubElement(tree, "filename").text = name
    size = SubElement(tree, "size")
    for key, value in (("width", record.info.width), ("height", record.info.height), ("depth", 3)):
        SubElement(size, key).text = str(value)
    truth = record.truth
    for place, given in enumerate(truth.boxes.tolist()):
        item = SubElement(tree, "object")
        SubElement(item, "name").text = classes[truth.labels[place]]
        difficult = bool(truth.ignored[place] or truth.crowds[place])
        SubElement(item, "difficult").text = str(int(difficult))
        box = SubElement(item, "bndbox")
        for key, text in zip(("xmin", "ymin", "xmax", "ymax"), box_to_voc(given), strict=True):
            SubElement(box, key).text = text
    return tree


def _write_yolo(root: Path, splits: Mapping[str, Split], classes: list[str]) -> list[str]:
    for split_name, named in _named(splits, across=False).items():
        _copy(named, root / "images" / split_name)
        labels = root / "labels" / split_name
        labels.mkdir(parents=True)
        label_of = _labels(splits[split_name], classes)
        for name, record in named.items():
            text = "".join(f"{line}\n" for line in _yolo_lines(record, label_of))
            (labels / f"{Path(name).stem}.txt").write_text(text, encoding="utf-8")
    content = {name: f"images/{name}" for name in splits} | {"names": dict(enumerate(classes))}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    (root / "data.yaml").write_text(text, encoding="utf-8")
    left_out = _count(splits, lambda record: record.truth.crowds | record.truth.ignored)
    over = _count(splits, _over_the_edge)
    lines = [f"{left_out} crowds and ignored objects are left out"] if left_out else []
    return [*lines, f"{over} boxes are clipped to their images"] if over else lines


def _over_the_edge(record: Record) -> np.ndarray:
    boxes, size = record.truth.boxes, (record.info.width, record.info.height)
    over: np.ndarray = ((boxes[:, :2] < 0) | (boxes[:, :2] + boxes[:, 2:] > size)).any(axis=1)
    return over & ~(record.truth.crowds | record.truth.ignored)


def _yolo_lines(record: Record, label_of: list[int]) -> list[str]:
    """A line for each object that is learnt: YOLO knows no others."""
    info = record.info
    if image_size(info.path, apply_exif=True) != (info.width, info.height):
        raise UserError(
            f"{info.path}: expected {info.width}x{info.height} pixels, as annotated, when the "
            "image is turned as its EXIF orientation says, found another size; YOLO knows no "
            "other: correct the annotations or store the image without an orientation"
        )
    lines = []
    truth, size = record.truth, (info.width, info.height)
    for place in np.flatnonzero(~(truth.crowds | truth.ignored)):
        shares = box_to_yolo(inside(truth.boxes[place].tolist(), size), size)
        lines.append(" ".join([str(label_of[truth.labels[place]]), *shares]))
    return lines


def inside(box: Sequence[float], size: tuple[int, int]) -> list[float]:
    """`x y width height` clipped to an image: readers of YOLO refuse shares outside of 0 to 1."""
    clipped = []
    for start, extent, side in zip(box[:2], box[2:], size, strict=True):
        low, high = max(start, 0.0), min(start + extent, float(side))
        is_inside = start >= 0 and start + extent <= side
        clipped.append((low, extent if is_inside else high - low))
    (x, width), (y, height) = clipped
    return [x, y, width, height]


def _count(splits: Mapping[str, Split], chosen: Callable[[Record], np.ndarray]) -> int:
    return sum(int(chosen(record).sum()) for s in splits.values() for record in s.parsed.records)


FORMATS: dict[str, Callable[[Path, Mapping[str, Split], list[str]], list[str]]] = {
    "coco": _write_coco,
    "voc": _write_voc,
    "yolo": _write_yolo,
}
"""What a dataset can be written as."""
