"""Reading and checking data in COCO's format."""

from __future__ import annotations

import json
import math
import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cornernet.data.images import read_image
from cornernet.data.layouts import find_annotations, find_images
from cornernet.errors import UserError
from cornernet.structures import Sample

_REQUIRED_KEYS = {
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("id", "image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}
_NOT_A_BOX = "not four finite numbers"
_NO_SIZE = "zero or negative width or height"
_OUTSIDE = "wholly outside its image"
_NO_CATEGORY = "unknown category"
_IDS_IN_WARNING = 5


@dataclass(frozen=True)
class ImageInfo:
    """One picture of a data set: its name in the annotation file, path, size in pixels, id."""

    file_name: str
    path: str
    width: int
    height: int
    id: int


@dataclass(frozen=True)
class _Record:
    """A picture with its checked objects: boxes `[n, 4]` float32 xyxy px, labels `[n]` int64."""

    info: ImageInfo
    boxes: np.ndarray
    labels: np.ndarray
    crowd_boxes: np.ndarray
    crowd_labels: np.ndarray


class CocoDataset:
    """The pictures and checked objects of one split; picklable, pictures are read when asked for.

    Boxes that reach over their picture's edge are clipped to it. Boxes that are not four finite
    numbers, have no positive size, lie wholly outside or have an unknown category are bad: they
    are dropped with one warning, or are an error if `strict`. Objects with `iscrowd` = 1 are kept
    apart, as `Sample.crowd_boxes`.

    Args:
        root: a data folder, see `find_annotations`.
        split: "train", "val", "val2017", ...
        strict: make a bad box an error.
        filter_empty: leave out pictures without any good box that is not a crowd.
        min_size: leave out pictures whose shorter side is below this many pixels.
        classes: class names of a network; labels then are indices into it, and the data must have
            exactly these categories. None numbers the categories by ascending id.
        classes_of: where `classes` come from, for the message.

    Attributes:
        annotation_path: the annotation file.
        image_folder: the folder with the pictures.
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
    ) -> None:
        self.annotation_path = find_annotations(root, split)
        self.image_folder = find_images(self.annotation_path, split)
        content = _read_json(self.annotation_path)
        for section, keys in _REQUIRED_KEYS.items():
            _check_section(self.annotation_path, content, section, keys)

        self.category_ids, self.classes = self._read_categories(
            content["categories"], classes, classes_of
        )
        infos = self._read_images(content["images"])
        self._bad_ids: set[int] = set()
        records = self._read_objects(content["annotations"], infos, strict)
        self._records = [
            record
            for record in records
            if min(record.info.width, record.info.height) >= min_size
            and (len(record.boxes) > 0 or not filter_empty)
        ]
        if not self._records:
            raise UserError(
                f"{self.annotation_path}: expected pictures to work with, found none of the "
                f"{len(records)} with a shorter side of at least {min_size} pixels"
                f"{' and at least one good box' if filter_empty else ''}; check the annotations, "
                "or relax data.min_size and data.filter_empty"
            )

    def __len__(self) -> int:
        return len(self._records)

    def info(self, index: int) -> ImageInfo:
        """Name, path, size and id of a picture, without reading it."""
        return self._records[index].info

    def load(self, index: int) -> Sample:
        """Read a picture with its objects; the arrays belong to the caller.

        A picture is turned as its EXIF orientation says, as `predict` turns it, unless the
        annotations give the size of the pixels as they are stored.

        Raises:
            UserError: if the picture cannot be read or has another size than the annotations say.
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
            f"says, found {sizes}{turned}; correct the annotations or replace the picture"
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
        pictures that were filtered out stay in, so that numbers compare with everybody else's.
        """
        content = _read_json(self.annotation_path)
        annotations: list[dict[str, Any]] = []
        for entry in content["annotations"]:
            if entry["id"] not in self._bad_ids:
                width, height = entry["bbox"][2:]
                given = {key: value for key, value in entry.items() if value is not None}
                # Ids anew from 1: pycocotools takes an object with id 0 for one never found.
                identity = {"id": len(annotations) + 1}
                annotations.append({"area": width * height, "iscrowd": 0} | given | identity)
        return content | {"annotations": annotations}

    def _read_categories(
        self, entries: list[dict[str, Any]], classes: Sequence[str] | None, classes_of: str
    ) -> tuple[list[int], list[str]]:
        ids = self._unique_ids("categories", entries)
        names = [str(entry["name"]) for entry in entries]
        by_name = dict(zip(names, ids, strict=True))
        if len(by_name) < len(names):
            twice = sorted(name for name, count in Counter(names).items() if count > 1)
            raise UserError(
                f"{self.annotation_path}: expected categories with different names, found more "
                f"than one called {_quoted(twice)}; rename or join them"
            )
        if not names:
            raise UserError(
                f"{self.annotation_path}: expected at least one category, found none; "
                "fill in 'categories'"
            )
        if classes is None:
            ordered = sorted(by_name, key=lambda name: by_name[name])
        elif set(classes) == set(names):
            ordered = list(classes)
        else:
            raise UserError(
                f"{self.annotation_path}: expected the {len(classes)} classes of "
                f"{classes_of} ({_quoted(classes)}), found {len(names)} categories "
                f"({_quoted(names)}); use data and weights with the same categories, or rename them"
            )
        return [by_name[name] for name in ordered], ordered

    def _read_images(self, entries: list[dict[str, Any]]) -> dict[int, ImageInfo]:
        ids = self._unique_ids("images", entries)
        infos: dict[int, ImageInfo] = {}
        missing: list[str] = []
        for image_id, entry in zip(ids, entries, strict=True):
            width, height = _integer(entry["width"]), _integer(entry["height"])
            if width is None or height is None or width < 1 or height < 1:
                raise UserError(
                    f"{self.annotation_path}: expected image {image_id} to have a width and a "
                    f"height in whole pixels, found {entry['width']!r} and {entry['height']!r}; "
                    "correct the entry"
                )
            file_name = entry["file_name"]
            if not isinstance(file_name, str):
                raise UserError(
                    f"{self.annotation_path}: expected image {image_id} to have a file_name, "
                    f"found {file_name!r}; correct the entry"
                )
            path = os.path.join(self.image_folder, file_name)
            if not os.path.isfile(path):
                missing.append(path)
            infos[image_id] = ImageInfo(file_name, path, width, height, image_id)
        if missing:
            raise UserError(
                f"{self.annotation_path}: expected {len(infos)} pictures in {self.image_folder}, "
                f"found {len(missing)} missing, the first being {missing[0]}; "
                "complete the folder or remove these images from the annotation file"
            )
        return infos

    def _read_objects(
        self, entries: list[dict[str, Any]], infos: Mapping[int, ImageInfo], strict: bool
    ) -> list[_Record]:
        ids = self._unique_ids("annotations", entries)
        label_of = {category: label for label, category in enumerate(self.category_ids)}
        boxes: dict[int, list[tuple[float, ...]]] = {image_id: [] for image_id in infos}
        labels: dict[int, list[int]] = {image_id: [] for image_id in infos}
        crowds: dict[int, list[tuple[float, ...]]] = {image_id: [] for image_id in infos}
        crowd_labels: dict[int, list[int]] = {image_id: [] for image_id in infos}
        bad: dict[str, list[int]] = {}
        for annotation_id, entry in zip(ids, entries, strict=True):
            image_id = _integer(entry["image_id"])
            if image_id is None or image_id not in infos:
                raise UserError(
                    f"{self.annotation_path}: expected annotation {annotation_id} to belong to a "
                    f"listed image, found image_id {entry['image_id']!r}; "
                    "remove the annotation or add the image"
                )
            box = _checked_box(entry["bbox"], infos[image_id])
            category_id = _integer(entry["category_id"])
            label = None if category_id is None else label_of.get(category_id)
            if isinstance(box, str) or label is None:
                reason = box if isinstance(box, str) else _NO_CATEGORY
                if strict:
                    found = f"bbox {entry['bbox']!r} in {infos[image_id].file_name}"
                    if reason == _NO_CATEGORY:
                        found = f"category_id {entry['category_id']!r}"
                    raise UserError(
                        f"{self.annotation_path}: annotation {annotation_id} is bad "
                        f"({reason}): {found}; correct or remove it, or set data.strict to false "
                        "to drop such boxes with a warning"
                    )
                bad.setdefault(reason, []).append(annotation_id)
            elif entry.get("iscrowd", 0):
                crowds[image_id].append(box)
                crowd_labels[image_id].append(label)
            else:
                boxes[image_id].append(box)
                labels[image_id].append(label)
        if bad:
            self._bad_ids = {identity for group in bad.values() for identity in group}
            reasons = ", ".join(f"{len(group)} {reason}" for reason, group in sorted(bad.items()))
            first = sorted(self._bad_ids)[:_IDS_IN_WARNING]
            rest = ", ..." if len(self._bad_ids) > len(first) else ""
            warnings.warn(
                f"{self.annotation_path}: dropped {len(self._bad_ids)} of {len(entries)} boxes "
                f"({reasons}): annotation ids {', '.join(map(str, first))}{rest}; correct them, or "
                "set data.strict to true to make them an error",
                UserWarning,
                stacklevel=3,
            )
        return [
            _Record(
                info,
                np.array(boxes[image_id], np.float32).reshape(-1, 4),
                np.array(labels[image_id], np.int64),
                np.array(crowds[image_id], np.float32).reshape(-1, 4),
                np.array(crowd_labels[image_id], np.int64),
            )
            for image_id, info in infos.items()
        ]

    def _unique_ids(self, section: str, entries: list[dict[str, Any]]) -> list[int]:
        ids: dict[int, None] = {}
        for position, entry in enumerate(entries):
            identity = _integer(entry["id"])
            if identity is None:
                raise UserError(
                    f"{self.annotation_path}: expected {section}[{position}] to have a whole "
                    f"number as id, found {entry['id']!r}; correct the entry"
                )
            if identity in ids:
                raise UserError(
                    f"{self.annotation_path}: expected every entry of '{section}' to have its own "
                    f"id, found id {identity} twice; renumber or remove one of them"
                )
            ids[identity] = None
        return list(ids)


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
            f"{path}: expected a JSON object with the keys {_quoted(_REQUIRED_KEYS)}, found a "
            f"{type(content).__name__}; convert the annotations to COCO's format"
        )
    return content


def _check_section(path: Path, content: dict[str, Any], section: str, keys: Sequence[str]) -> None:
    """Check that `content[section]` is a list of objects which all have `keys`."""
    if section not in content:
        raise UserError(
            f"{path}: expected the keys {_quoted(_REQUIRED_KEYS)}, found no '{section}' among "
            f"{_quoted(content)}; convert the annotations to COCO's format"
        )
    entries = content[section]
    if not isinstance(entries, list):
        raise UserError(
            f"{path}: expected '{section}' to be a list, found a {type(entries).__name__}; "
            "convert the annotations to COCO's format"
        )
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise UserError(
                f"{path}: expected {section}[{position}] to be an object, found a "
                f"{type(entry).__name__}; convert the annotations to COCO's format"
            )
        lacking = [key for key in keys if key not in entry]
        if lacking:
            identity = f" (id {entry['id']!r})" if "id" in entry else ""
            raise UserError(
                f"{path}: expected {section}[{position}]{identity} to have the keys "
                f"{_quoted(keys)}, found no {_quoted(lacking)}; complete the entry"
            )


def _checked_box(bbox: Any, info: ImageInfo) -> tuple[float, ...] | str:
    """COCO's `x y width height` as `x1 y1 x2 y2`, clipped to the picture; or why it is bad."""
    if not isinstance(bbox, list) or len(bbox) != 4:
        return _NOT_A_BOX
    if not all(_is_finite_number(value) for value in bbox):
        return _NOT_A_BOX
    x, y, width, height = map(float, bbox)
    if width <= 0 or height <= 0:
        return _NO_SIZE
    x1, x2 = max(x, 0.0), min(x + width, float(info.width))
    y1, y2 = max(y, 0.0), min(y + height, float(info.height))
    if x2 <= x1 or y2 <= y1:
        return _OUTSIDE
    # A sliver may vanish in the float32 in which boxes are kept.
    if np.float32(x2) <= np.float32(x1) or np.float32(y2) <= np.float32(y1):
        return _NO_SIZE
    return x1, y1, x2, y2


def _is_finite_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the range of float
        return False


def _integer(value: Any) -> int | None:
    """A whole number, also when written as 7.0; None for anything else."""
    if not _is_finite_number(value) or value != int(value):
        return None
    return int(value)


def _quoted(words: Mapping[str, Any] | Sequence[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)
