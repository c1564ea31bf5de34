"""Annotations of any format, checked once and whole: what is used later is read here or refused.

Each reader in `formats` brings its files into the three sections of COCO's format; what stands in
them is untrusted until it has passed through here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cornernet.data import checks
from cornernet.data.checks import Issue, Section, quoted, shown
from cornernet.data.fields import Identity, flag, identity, number, segmentation_box, whole_number
from cornernet.data.images import image_size
from cornernet.data.paths import ImageFinder

KEYS = {
    "images": ("id", "file_name"),
    "annotations": ("id", "image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}
"""The sections of an annotation file, and what each of their entries must have."""

_INT64 = 2**63


@dataclass(frozen=True)
class ImageInfo:
    """One image of a dataset.

    Attributes:
        file_name: its name in the annotations.
        path: where it is.
        width, height: its size in pixels.
        id: a number that pycocotools can keep.
        given_id: the id in the annotations, which may be text or a larger number.
    """

    file_name: str
    path: str
    width: int
    height: int
    id: int
    given_id: Identity


@dataclass(frozen=True)
class Truth:
    """All good objects of an image as they are annotated, for evaluation.

    Attributes:
        boxes: `[n, 4]` float64, `x y width height` in pixels, not clipped to the image.
        areas: `[n]` float64, in pixels.
        labels: `[n]` int64, indices of the split's classes.
        crowds: `[n]` bool, objects with `iscrowd`.
        ignored: `[n]` bool, objects with `ignore`.
    """

    boxes: np.ndarray
    areas: np.ndarray
    labels: np.ndarray
    crowds: np.ndarray
    ignored: np.ndarray


@dataclass(frozen=True)
class Record:
    """An image with its checked objects.

    Attributes:
        info: the image.
        boxes: `[n, 4]` float32, `x1 y1 x2 y2` in pixels, clipped to the image: what is learnt.
        labels: `[n]` int64, indices of the split's classes.
        crowd_boxes, crowd_labels: the same of objects with `iscrowd`.
        truth: all objects, also those with `ignore`, which are not learnt.
    """

    info: ImageInfo
    boxes: np.ndarray
    labels: np.ndarray
    crowd_boxes: np.ndarray
    crowd_labels: np.ndarray
    truth: Truth


@dataclass(frozen=True)
class ParsedSplit:
    """What a reader makes of a split.

    Attributes:
        classes: class names by label.
        category_ids: ids by label that pycocotools can keep.
        given_category_ids: ids by label as the annotations give them; None for a class that they
            do not list.
        records: all images, with the objects that can be used.
    """

    classes: list[str]
    category_ids: list[int]
    given_category_ids: list[Identity | None]
    records: list[Record]


# A good object while its image is collected: the clipped `x1 y1 x2 y2`, the `x y width height` that
# was given, area, label, crowd, ignored. Plain tuples of numbers are no work for Python's garbage
# collector, which would take half of the time otherwise.
_Object = tuple[float, ...]
_BOX, _GIVEN, _AREA, _LABEL, _CROWD, _IGNORED = slice(0, 4), slice(4, 8), 8, 9, 10, 11


def parse_content(
    content: Mapping[str, list[Any]], finder: ImageFinder
) -> tuple[ParsedSplit, list[Issue]]:
    """Parse and check the sections of an annotation file, without reading an image.

    Entries with a fault are left out and make an issue. Boxes that reach over the edge of their
    image are clipped to it; this is no fault. Labels number the categories by ascending id, or in
    the order of the file where ids are text. Categories of one name are joined.

    Args:
        content: "images", "annotations" and "categories", in COCO's form.
        finder: finds the image files.

    Returns:
        The split and what is wrong with it. If one of the issues is an error, the split is not
        complete.
    """
    categories, images, annotations = (
        Section(name, content[name], KEYS[name]) for name in ("categories", "images", "annotations")
    )
    annotations.entries = [_with_box(annotations, entry) for entry in annotations.entries]
    used = {
        identity(entry.get("category_id"))
        for entry in annotations.entries
        if isinstance(entry, dict)
    }
    names, label_of = _parse_categories(categories, used)
    infos = _parse_images(images, finder)
    records = _parse_annotations(annotations, images, label_of, infos)
    own = _own_ids(names)
    parsed = ParsedSplit(
        list(names.values()), [own[category] for category in names], list(names), records
    )
    return parsed, [*categories.issues(), *images.issues(), *annotations.issues()]


def _own_ids(given: Iterable[Identity]) -> dict[Identity, int]:
    """Ids that pycocotools can keep: those given, or 1, 2, ... if one is text or beyond int64."""
    ids = list(given)
    if all(isinstance(item, int) and -_INT64 <= item < _INT64 for item in ids):
        return {item: int(item) for item in ids}
    return {item: number for number, item in enumerate(ids, 1)}


def _with_box(section: Section, entry: Any) -> Any:
    """The annotation, with the box of its segmentation if it has none."""
    if not isinstance(entry, dict) or entry.get("bbox"):
        return entry
    box = segmentation_box(entry.get("segmentation"))
    if box is None:
        return entry
    entry_id = identity(entry.get("id"))
    text = f"annotation {entry_id} has a segmentation and no bbox"
    section.add(checks.SEGMENT_BOX, entry_id, text)
    return entry | {"bbox": box}


def _parse_categories(
    section: Section, used: set[Identity | None]
) -> tuple[dict[Identity, str], dict[Identity, int]]:
    """Names by id in the order of their labels, and the label of every id.

    Of categories that are joined because they have one name, the first that is used gives the id.
    """
    found: dict[Identity, str] = {}
    for entry_id, entry in section.sound_entries():
        name = entry["name"]
        if isinstance(name, (int, float)) and not isinstance(name, bool):
            name = str(name)
        if not isinstance(name, str) or not name.strip():
            text = f"expected category {entry_id} to have a name, found {shown(name)}"
            section.add(checks.BAD_NAME, entry_id, text)
        else:
            found[entry_id] = name
    if not section.entries:
        section.add(checks.NO_CATEGORIES, None, "expected at least one category, found none")
    ordered = list(found)
    if all(isinstance(entry_id, int) for entry_id in ordered):
        ordered.sort()
    same_name: dict[str, list[Identity]] = {}
    for entry_id in ordered:
        same_name.setdefault(found[entry_id], []).append(entry_id)
    first = {
        name: next((item for item in ids if item in used), ids[0])
        for name, ids in same_name.items()
    }
    names = {entry_id: found[entry_id] for entry_id in ordered if entry_id in first.values()}
    label_of: dict[Identity, int] = {}
    for label, name in enumerate(names.values()):
        label_of |= dict.fromkeys(same_name[name], label)
        for extra in same_name[name][1:]:
            ids = ", ".join(map(str, same_name[name]))
            text = f"more than one category is called {quoted([name])} (ids {ids})"
            section.add(checks.REPEATED_NAME, extra, text)
    return names, label_of


def _parse_images(section: Section, finder: ImageFinder) -> dict[Identity, ImageInfo]:
    """Images by the id in the annotations."""
    infos: dict[Identity, ImageInfo] = {}
    sound = dict(section.sound_entries())
    own = _own_ids(sound)
    for image_id, entry in sound.items():
        file_name = entry["file_name"]
        if not isinstance(file_name, str) or not file_name:
            section.add(
                checks.BAD_FILE_NAME,
                image_id,
                f"expected image {image_id} to have a file_name, found {shown(file_name)}",
            )
            continue
        path = _find_image(section, image_id, file_name, finder)
        size = _size(section, image_id, entry, path)
        if size is not None:
            infos[image_id] = ImageInfo(file_name, path, *size, own[image_id], image_id)
    return infos


def _size(
    section: Section, image_id: Identity, entry: dict[str, Any], path: str
) -> tuple[int, int] | None:
    """Width and height of an image as annotated; if there is none, those of its file."""
    given = entry.get("width"), entry.get("height")
    width, height = map(whole_number, given)
    if width and height and width > 0 and height > 0:
        return width, height
    if all(value in (None, "") or whole_number(value) == 0 for value in given):
        if not os.path.isfile(path):  # which is an error already
            return None
        found = image_size(path, apply_exif=True)
        if found is not None:
            section.add(checks.MISSING_SIZE, image_id, f"image {image_id} has no width and height")
            return found
    section.add(
        checks.BAD_SIZE,
        image_id,
        f"expected image {image_id} to have a width and a height in whole pixels, "
        f"found {shown(given[0])} and {shown(given[1])}",
    )
    return None


def _find_image(section: Section, image_id: Identity, file_name: str, finder: ImageFinder) -> str:
    """The path of an image, or of where it should be."""
    path = finder.find(file_name)
    if path is not None:
        return path
    path = finder.find_last_parts(file_name)
    if path is not None:
        text = f"the file_name of image {image_id} is {shown(file_name)}"
        section.add(checks.FOREIGN_FILE, image_id, text)
        return path
    if finder.leaves(file_name):
        section.add(
            checks.OUTSIDE_FILE,
            image_id,
            f"expected the file_name of image {image_id} to lead to a file in the data directory, "
            f"found {shown(file_name)}",
        )
    else:
        first, *others = (str(base / file_name) for base in finder.bases)
        also = f" (nor in {', '.join(map(str, finder.bases[1:]))})" if others else ""
        section.add(
            checks.MISSING_FILE, image_id, f"expected the image {first}, found no file{also}"
        )
    return str(finder.bases[0] / file_name)


def _parse_annotations(
    section: Section,
    images: Section,
    label_of: Mapping[Identity, int],
    infos: Mapping[Identity, ImageInfo],
) -> list[Record]:
    """All images with their good objects, in the order of `infos`."""
    listed = {identity(entry.get("id")) for entry in images.entries if isinstance(entry, dict)}
    objects: dict[Identity, list[_Object]] = {image_id: [] for image_id in infos}
    wrong: dict[Identity, str] = {}
    for entry_id, entry in section.sound_entries():
        image_id = identity(entry["image_id"])
        info = None if image_id is None else infos.get(image_id)
        if image_id is None or info is None:
            if image_id is None or image_id not in listed:
                section.add(
                    checks.UNKNOWN_IMAGE,
                    entry_id,
                    f"expected annotation {entry_id} to belong to a listed image, "
                    f"found image_id {shown(entry['image_id'])}",
                )
            continue
        given = checks.box_numbers(entry["bbox"])
        box = checks.checked_box(given, info.width, info.height)
        category_id = identity(entry["category_id"])
        label = None if category_id is None else label_of.get(category_id)
        if isinstance(box, checks.Kind):
            if box is checks.OUTSIDE and image_id not in wrong:
                wrong[image_id] = _wrong_size(info)
            if not wrong.get(image_id):
                found = f"bbox {shown(entry['bbox'])} in {info.file_name}"
                section.add(box, entry_id, _bad(entry_id, box, found))
        elif label is None:
            found = f"category_id {shown(entry['category_id'])}"
            section.add(
                checks.UNKNOWN_CATEGORY, entry_id, _bad(entry_id, checks.UNKNOWN_CATEGORY, found)
            )
        else:
            objects[image_id].append(_object(section, entry_id, entry, box, given, label))
    for image_id, text in wrong.items():
        if text:
            images.add(checks.WRONG_SIZE, image_id, text)
    return [_record(info, objects[image_id]) for image_id, info in infos.items()]


def _bad(entry_id: Identity, kind: checks.Kind, found: str) -> str:
    return f"annotation {entry_id} is bad ({kind.name}): {found}"


def _wrong_size(info: ImageInfo) -> str:
    """What is wrong with the annotated size of an image with a box outside; "" if it is right."""
    size = image_size(info.path)
    if size is None or sorted(size) == sorted((info.width, info.height)):
        return ""
    return (
        f"{info.path} has {size[0]}x{size[1]} pixels, but its annotated size is "
        f"{info.width}x{info.height}"
    )


def _object(
    section: Section,
    entry_id: Identity,
    entry: dict[str, Any],
    box: tuple[float, ...],
    given: tuple[float, ...] | None,
    label: int,
) -> _Object:
    """An object whose box and category are good; its other fields are read here."""
    assert given is not None  # the box has been checked
    value = entry.get("area")
    area = number(value)
    if area is None or area < 0:
        area = given[2] * given[3]
        if value is not None:
            text = f"the area of annotation {entry_id} is {shown(value)}"
            section.add(checks.COMPUTED_AREA, entry_id, text)
    ignored = flag(entry.get("ignore"))
    if ignored:
        section.add(checks.IGNORED, entry_id, f"annotation {entry_id} has ignore = 1")
    return (*box, *given, float(area), label, flag(entry.get("iscrowd")), ignored)


def _record(info: ImageInfo, objects: Sequence[_Object]) -> Record:
    table = np.array(objects, np.float64).reshape(-1, 12)
    boxes, labels = table[:, _BOX].astype(np.float32), table[:, _LABEL].astype(np.int64)
    crowds, ignored = table[:, _CROWD].astype(bool), table[:, _IGNORED].astype(bool)
    learnt, learnt_crowds = ~crowds & ~ignored, crowds & ~ignored
    truth = Truth(table[:, _GIVEN].copy(), table[:, _AREA].copy(), labels, crowds, ignored)
    return Record(
        info,
        boxes[learnt],
        labels[learnt],
        boxes[learnt_crowds],
        labels[learnt_crowds],
        truth,
    )
