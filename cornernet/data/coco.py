"""Data in COCO's format: an annotation file parsed into images with checked objects."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cornernet.data import checks
from cornernet.data.checks import Issue, Section, quoted, shown, whole_number
from cornernet.data.images import read_image
from cornernet.data.layouts import find_split
from cornernet.errors import UserError
from cornernet.structures import Sample

# The sections of an annotation file, and what each of their entries must have.
_KEYS = {
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("id", "image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}


@dataclass(frozen=True)
class ImageInfo:
    """One image of a dataset: its name in the annotation file, path, size in pixels, id."""

    file_name: str
    path: str
    width: int
    height: int
    id: int


@dataclass(frozen=True)
class Record:
    """An image with its checked objects.

    Attributes:
        info: the image.
        boxes: `[n, 4]` float32, `x1 y1 x2 y2` in pixels, clipped to the image.
        labels: `[n]` int64, indices of the split's classes.
        crowd_boxes, crowd_labels: the same of objects with `iscrowd` = 1.
    """

    info: ImageInfo
    boxes: np.ndarray
    labels: np.ndarray
    crowd_boxes: np.ndarray
    crowd_labels: np.ndarray


@dataclass(frozen=True)
class ParsedSplit:
    """What a reader makes of a split.

    Attributes:
        classes: class names by label.
        category_ids: category ids of the annotation file by label.
        records: all images, with the objects that can be used.
    """

    classes: list[str]
    category_ids: list[int]
    records: list[Record]


def read_coco(annotation_path: Path, image_directory: Path) -> tuple[ParsedSplit, list[Issue]]:
    """Parse and check an annotation file in COCO's format, without reading an image.

    Entries with a fault are left out and make an issue. Boxes that reach over the edge of their
    image are clipped to it; this is no fault. Labels number the categories by ascending id.

    Args:
        annotation_path: the annotation file.
        image_directory: the directory that its file names start from.

    Returns:
        The split and what is wrong with it. If one of the issues is an error, the split is not
        complete.

    Raises:
        UserError: if the file cannot be read, is not JSON or lacks a section.
    """
    content = _read_json(annotation_path)
    categories, images, annotations = (
        Section(name, _entries(annotation_path, content, name), _KEYS[name])
        for name in ("categories", "images", "annotations")
    )
    names = _parse_categories(categories)
    infos = _parse_images(images, image_directory)
    category_ids = sorted(names)
    records = _parse_annotations(annotations, category_ids, infos, _listed_ids(images))
    parsed = ParsedSplit([names[category] for category in category_ids], category_ids, records)
    return parsed, [*categories.issues(), *images.issues(), *annotations.issues()]


def _parse_categories(section: Section) -> dict[int, str]:
    """Names by id."""
    names = {identity: str(entry["name"]) for identity, entry in section.sound_entries()}
    seen: set[str] = set()
    for identity, name in names.items():
        if name in seen:
            section.add(
                checks.REPEATED_NAME,
                identity,
                "expected categories with different names, found more than one called "
                f"{quoted([name])}",
            )
        seen.add(name)
    if not section.entries:
        section.add(checks.NO_CATEGORIES, None, "expected at least one category, found none")
    return names


def _parse_images(section: Section, directory: Path) -> dict[int, ImageInfo]:
    """Images by id."""
    infos: dict[int, ImageInfo] = {}
    for identity, entry in section.sound_entries():
        width, height = whole_number(entry["width"]), whole_number(entry["height"])
        file_name = entry["file_name"]
        if width is None or height is None or width < 1 or height < 1:
            section.add(
                checks.BAD_SIZE,
                identity,
                f"expected image {identity} to have a width and a height in whole pixels, "
                f"found {shown(entry['width'])} and {shown(entry['height'])}",
            )
            continue
        if not isinstance(file_name, str):
            section.add(
                checks.BAD_FILE_NAME,
                identity,
                f"expected image {identity} to have a file_name, found {shown(file_name)}",
            )
            continue
        path = os.path.join(directory, file_name)
        if not os.path.isfile(path):
            section.add(checks.MISSING_FILE, identity, f"expected the image {path}, found no file")
        infos[identity] = ImageInfo(file_name, path, width, height, identity)
    return infos


def _listed_ids(images: Section) -> set[int]:
    """Ids of all images, also of those whose entry has a fault."""
    ids = {whole_number(entry.get("id")) for entry in images.entries if isinstance(entry, dict)}
    return {identity for identity in ids if identity is not None}


def _parse_annotations(
    section: Section,
    category_ids: Sequence[int],
    infos: Mapping[int, ImageInfo],
    listed_images: set[int],
) -> list[Record]:
    """All images with their good objects, in the order of `infos`."""
    label_of = {category: label for label, category in enumerate(category_ids)}
    boxes: dict[int, list[tuple[float, ...]]] = {image_id: [] for image_id in infos}
    labels: dict[int, list[int]] = {image_id: [] for image_id in infos}
    crowds: dict[int, list[tuple[float, ...]]] = {image_id: [] for image_id in infos}
    crowd_labels: dict[int, list[int]] = {image_id: [] for image_id in infos}
    for identity, entry in section.sound_entries():
        image_id = whole_number(entry["image_id"])
        info = None if image_id is None else infos.get(image_id)
        if image_id is None or info is None:
            if image_id not in listed_images:
                section.add(
                    checks.UNKNOWN_IMAGE,
                    identity,
                    f"expected annotation {identity} to belong to a listed image, "
                    f"found image_id {shown(entry['image_id'])}",
                )
            continue
        box = checks.checked_box(entry["bbox"], info.width, info.height)
        category_id = whole_number(entry["category_id"])
        label = None if category_id is None else label_of.get(category_id)
        if isinstance(box, checks.Kind):
            found = f"bbox {shown(entry['bbox'])} in {info.file_name}"
            section.add(box, identity, _bad(identity, box, found))
        elif label is None:
            found = f"category_id {shown(entry['category_id'])}"
            section.add(
                checks.UNKNOWN_CATEGORY, identity, _bad(identity, checks.UNKNOWN_CATEGORY, found)
            )
        elif entry.get("iscrowd", 0):
            crowds[image_id].append(box)
            crowd_labels[image_id].append(label)
        else:
            boxes[image_id].append(box)
            labels[image_id].append(label)
    return [
        Record(
            info,
            np.array(boxes[image_id], np.float32).reshape(-1, 4),
            np.array(labels[image_id], np.int64),
            np.array(crowds[image_id], np.float32).reshape(-1, 4),
            np.array(crowd_labels[image_id], np.int64),
        )
        for image_id, info in infos.items()
    ]


def _bad(identity: int, kind: checks.Kind, found: str) -> str:
    return f"annotation {identity} is bad ({kind.name}): {found}"


class CocoDataset:
    """The images and checked objects of one split; picklable, images are read when asked for.

    Boxes that reach over the edge of their image are clipped to it. Boxes that are not four finite
    numbers, have no positive size, lie wholly outside or have an unknown category are bad: they
    are dropped with one warning, or are an error if `strict`. Objects with `iscrowd` = 1 are kept
    apart, as `Sample.crowd_boxes`.

    Args:
        root: a data directory, see `layouts.find_split`.
        split: "train", "val", "val2017", ...
        strict: make a bad box an error.
        filter_empty: leave out images without any good box that is not a crowd.
        min_size: leave out images whose shorter side is below this many pixels.
        classes: class names of a network; labels then are indices into it, and the data must have
            exactly these categories. None numbers the categories by ascending id.
        classes_of: where `classes` come from, for errors.
        split_field: setting or argument that `split` comes from, for errors.

    Attributes:
        annotation_path: the annotation file.
        image_folder: the directory with the images.
        classes: class names by label.
        category_ids: category ids of the annotation file by label.

    Raises:
        UserError: if the data is not as described here, in one sentence that names the file.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str,
        *,
        strict: bool = False,
        filter_empty: bool = False,
        min_size: int = 0,
        classes: Sequence[str] | None = None,
        classes_of: str = "the weights",
        split_field: str = "split",
    ) -> None:
        files = find_split(root, split, split_field)
        self.annotation_path = files.annotations
        self.image_folder = files.images
        parsed, issues = read_coco(files.annotations, files.images)
        checks.refuse_errors(files.annotations, issues, strict)
        if classes is not None:
            parsed = _with_classes(files.annotations, parsed, classes, classes_of)
        checks.warn_dropped(files.annotations, issues, stacklevel=2)
        self.classes = parsed.classes
        self.category_ids = parsed.category_ids
        self._records = _selected(files.annotations, parsed.records, min_size, filter_empty)
        # The issues that are left are all about boxes that were dropped.
        self._dropped = {identity for issue in issues for identity in issue.ids}

    def __len__(self) -> int:
        return len(self._records)

    def info(self, index: int) -> ImageInfo:
        """Name, path, size and id of an image, without reading it."""
        return self._records[index].info

    def load(self, index: int) -> Sample:
        """Read an image with its objects; the arrays belong to the caller.

        An image is turned as its EXIF orientation says, as `predict` turns it, unless the
        annotations give the size of the pixels as they are stored.

        Raises:
            UserError: if the image cannot be read or has another size than the annotations say.
        """
        record = self._records[index]
        info = record.info
        image = self._read(info)
        return Sample(
            image=image,
            boxes=record.boxes.copy(),
            labels=record.labels.copy(),
            image_id=info.id,
            path=info.path,
            crowd_boxes=record.crowd_boxes.copy(),
            crowd_labels=record.crowd_labels.copy(),
        )

    def _read(self, info: ImageInfo) -> np.ndarray:
        wanted = (info.width, info.height)
        found: list[tuple[int, int]] = []
        for apply_exif in (True, False):
            image = read_image(info.path, apply_exif=apply_exif)
            found.append((image.shape[1], image.shape[0]))
            if found[-1] == wanted:
                return image
        sizes = " or, as stored, ".join(
            f"{width}x{height}" for width, height in dict.fromkeys(found)
        )
        turned = ""
        if wanted[::-1] in found:
            turned = " (annotated before it lost an EXIF orientation, or was turned?)"
        raise UserError(
            f"{info.path}: expected {info.width}x{info.height} pixels as {self.annotation_path} "
            f"says, found {sizes}{turned}; correct the annotations or replace the image"
        )

    def summary(self) -> dict[str, int]:
        """Number of "images", "boxes" and "crowds", then of boxes per class as "class <name>"."""
        counts = np.zeros(len(self.classes), np.int64)
        for record in self._records:
            np.add.at(counts, record.labels, 1)
        totals = {
            "images": len(self._records),
            "boxes": int(counts.sum()),
            "crowds": sum(len(record.crowd_boxes) for record in self._records),
        }
        per_class = zip(self.classes, counts.tolist(), strict=True)
        return totals | {f"class {name}": count for name, count in per_class}

    def ground_truth(self) -> dict[str, Any]:
        """The annotation file's content as pycocotools wants it, for evaluation.

        Bad boxes are left out, since no detector can find them; `area` and `iscrowd`, which
        pycocotools needs and some tools do not write, are filled in. Boxes stay unclipped and
        images that were filtered out stay in, so that numbers compare with everybody else's.
        """
        content = _read_json(self.annotation_path)
        annotations: list[dict[str, Any]] = []
        for entry in content["annotations"]:
            if entry["id"] not in self._dropped:
                width, height = entry["bbox"][2:]
                given = {key: value for key, value in entry.items() if value is not None}
                # Ids start from 1 again: pycocotools takes an object with id 0 for one never found.
                identity = {"id": len(annotations) + 1}
                annotations.append({"area": width * height, "iscrowd": 0} | given | identity)
        return content | {"annotations": annotations}


def _with_classes(
    path: Path, parsed: ParsedSplit, classes: Sequence[str], classes_of: str
) -> ParsedSplit:
    """The same split with labels that are indices into `classes`."""
    if set(classes) != set(parsed.classes):
        raise UserError(
            f"{path}: expected the {len(classes)} classes of {classes_of} ({quoted(classes)}), "
            f"found {len(parsed.classes)} categories ({quoted(parsed.classes)}); "
            "use data and weights with the same categories, or rename them"
        )
    id_of = dict(zip(parsed.classes, parsed.category_ids, strict=True))
    label_of = {name: label for label, name in enumerate(classes)}
    labels = np.array([label_of[name] for name in parsed.classes], np.int64)
    records = [
        replace(record, labels=labels[record.labels], crowd_labels=labels[record.crowd_labels])
        for record in parsed.records
    ]
    return ParsedSplit(list(classes), [id_of[name] for name in classes], records)


def _selected(
    path: Path, records: Sequence[Record], min_size: int, filter_empty: bool
) -> list[Record]:
    """The images that are large enough and, if `filter_empty`, have a box that is not a crowd."""
    if not records:
        raise UserError(f"{path}: expected at least one image, found none; fill in 'images'")
    sides = [min(record.info.width, record.info.height) for record in records]
    large = [record for record, side in zip(records, sides, strict=True) if side >= min_size]
    if not large:
        raise UserError(
            f"is {min_size}, but the shorter side of the largest of {len(records)} images in "
            f"{path} has {max(sides)} pixels; lower it",
            field="data.min_size",
        )
    kept = [record for record in large if len(record.boxes) > 0 or not filter_empty]
    if not kept:
        which = "" if len(large) == len(records) else f" of at least data.min_size = {min_size} px"
        raise UserError(
            f"is true, but none of the {len(large)} images{which} in {path} has a good box that "
            "is not a crowd; check the annotations or set it to false",
            field="data.filter_empty",
        )
    return kept


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(
            f"{path}: expected a readable annotation file, got the system's error "
            f"'{error.strerror or error}'; check the file and its permissions"
        ) from None
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: expected JSON, found at line {error.lineno}, column {error.colno}: "
            f"{error.msg}; the file may be truncated or of another kind: replace it"
        ) from None
    except UnicodeDecodeError:
        raise UserError(
            f"{path}: expected JSON, found bytes that are not text; replace the file"
        ) from None
    if not isinstance(content, dict):
        raise UserError(
            f"{path}: expected a JSON object with the keys {quoted(_KEYS)}, found a "
            f"{type(content).__name__}; convert the annotations to COCO's format"
        )
    return content


def _entries(path: Path, content: Mapping[str, Any], section: str) -> list[Any]:
    """A section of an annotation file's content."""
    if section not in content:
        raise UserError(
            f"{path}: expected the keys {quoted(_KEYS)}, found no '{section}' among "
            f"{quoted(content)}; convert the annotations to COCO's format"
        )
    entries = content[section]
    if not isinstance(entries, list):
        raise UserError(
            f"{path}: expected '{section}' to be a list, found a {type(entries).__name__}; "
            "convert the annotations to COCO's format"
        )
    return entries
