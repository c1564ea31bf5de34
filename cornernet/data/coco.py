"""The images and objects of a split, as training and evaluation take them."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cornernet.data import checks
from cornernet.data.checks import quoted
from cornernet.data.faults import ImageFaults
from cornernet.data.fields import Identity
from cornernet.data.images import decode_image, read_file
from cornernet.data.layouts import find_split
from cornernet.data.parse import ImageInfo, ParsedSplit, Record, Truth
from cornernet.data.reader import Split, read_split
from cornernet.errors import UserError
from cornernet.structures import Sample

_IMAGE_KEYS = ("id", "file_name", "width", "height")


class CocoDataset:
    """The images and checked objects of one split; picklable, images are read when asked for.

    Boxes that reach over the edge of their image are clipped to it. Boxes that are not four finite
    numbers, have no positive size, lie wholly outside or have an unknown category are bad: they
    are dropped with one warning, or are an error if `strict`. Objects with `iscrowd` = 1 are kept
    apart, as `Sample.crowd_boxes`; objects with `ignore` = 1 are only part of the ground truth.

    Args:
        root: a data directory in any of `layouts.LAYOUTS`.
        split: "train", "val", "val2017", ...; or a split that has been read.
        strict: make a bad box an error, and an image that lacks its end marker.
        filter_empty: leave out images without any good box that is not a crowd.
        min_size: leave out images whose shorter side is below this many pixels.
        classes: class names of a network; labels then are indices into it, and the data may have
            no objects of others. None numbers the categories as the annotations do.
        classes_of: where `classes` come from, for errors.
        split_field: setting or argument that `split` comes from, for errors.
        on_error, max_skipped: see `ImageFaults`.

    Attributes:
        annotation_path: the annotation file.
        image_folder: the directory with the images.
        classes: class names by label.
        category_ids: category ids by label, as `ground_truth` has them.
        notes: one line for each kind of entry that is used in another way than it is written.
        faults: what was met while images were read.

    Raises:
        UserError: if the data is not as described here, in one sentence that names the file.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str | Split,
        *,
        strict: bool = False,
        filter_empty: bool = False,
        min_size: int = 0,
        classes: Sequence[str] | None = None,
        classes_of: str = "the weights",
        split_field: str = "split",
        on_error: Literal["stop", "skip"] = "stop",
        max_skipped: float = 0.01,
    ) -> None:
        if isinstance(split, str):
            split = read_split(find_split(root, split, split_field))
        path, parsed = split.files.annotations, split.parsed
        self.annotation_path = path
        self.image_folder = split.files.images
        checks.refuse_errors(path, split.issues, strict)
        self.notes = checks.notes(path, split.issues)
        if classes is not None:
            parsed, unused = _with_classes(path, parsed, classes, classes_of)
            self.notes += unused
        checks.warn_dropped(path, split.issues, stacklevel=2)
        self.classes = parsed.classes
        self.category_ids = parsed.category_ids
        self._given_category_ids = parsed.given_category_ids
        self._all_records = parsed.records
        self._records = _selected(path, parsed.records, min_size, filter_empty)
        self._strict = strict
        self.faults = ImageFaults(len(self._records), on_error, max_skipped)

    def __len__(self) -> int:
        return len(self._records)

    def info(self, index: int) -> ImageInfo:
        """Name, path, size and id of an image, without reading it."""
        return self._records[index].info

    def truth(self, index: int) -> Truth:
        """All good objects of an image as they are annotated, for evaluation."""
        return self._records[index].truth

    def load(self, index: int, warn: Callable[[str], object] | None = None) -> Sample:
        """Read an image with its objects; the arrays belong to the caller.

        An image is turned as its EXIF orientation says, as `predict` turns it, unless the
        annotations give the size of the pixels as they are stored.

        Args:
            index: of the image.
            warn: takes what is to be said about the file; by default it is said once.

        Raises:
            UserError: if the image cannot be read or has another size than the annotations say.
        """
        record = self._records[index]
        info = record.info
        image = read_annotated(
            info, self.annotation_path, self._strict, self.faults.warn if warn is None else warn
        )
        return Sample(
            image=image,
            boxes=record.boxes.copy(),
            labels=record.labels.copy(),
            image_id=info.id,
            path=info.path,
            crowd_boxes=record.crowd_boxes.copy(),
            crowd_labels=record.crowd_labels.copy(),
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
        """The annotations as pycocotools wants them, for evaluation.

        Bad boxes are left out, since no detector can find them; `area` and `iscrowd`, which
        pycocotools needs and some tools do not write, are filled in. Boxes stay unclipped, images
        that were filtered out stay in and objects with `ignore` count, as pycocotools itself does
        it, so that numbers compare with everybody else's. Ids are our own where pycocotools could
        not keep those of the annotations.
        """
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for record in self._all_records:
            info = record.info
            images.append({key: getattr(info, key) for key in _IMAGE_KEYS})
            truth = record.truth
            for box, area, label, crowd in zip(
                truth.boxes.tolist(),
                truth.areas.tolist(),
                truth.labels.tolist(),
                truth.crowds.tolist(),
                strict=True,
            ):
                annotations.append(
                    {
                        # From 1: pycocotools takes an object with id 0 for one never found.
                        "id": len(annotations) + 1,
                        "image_id": info.id,
                        "category_id": self.category_ids[label],
                        "bbox": box,
                        "area": area,
                        "iscrowd": int(crowd),
                    }
                )
        named = zip(self.category_ids, self.classes, strict=True)
        categories = [{"id": identity, "name": name} for identity, name in named]
        return {"images": images, "annotations": annotations, "categories": categories}

    def as_given(self, results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Detections in COCO's result format with the ids of the annotation file.

        Detections of a class that the annotations do not list are left out: it has no id there.
        """
        images = {record.info.id: record.info.given_id for record in self._all_records}
        categories = dict(zip(self.category_ids, self._given_category_ids, strict=True))
        return [
            item | {"image_id": images[item["image_id"]], "category_id": category}
            for item in results
            if (category := categories[item["category_id"]]) is not None
        ]

    def given_ids(self) -> tuple[dict[Identity, int], dict[Identity, int]]:
        """Our ids of the images, and labels, by the ids of the annotation file."""
        images = {record.info.given_id: record.info.id for record in self._all_records}
        given = enumerate(self._given_category_ids)
        return images, {item: label for label, item in given if item is not None}

    def has_truth(self) -> bool:
        """Whether there is an object to be found, so that AP can be computed."""
        return any(not record.truth.crowds.all() for record in self._records)


def read_annotated(
    info: ImageInfo,
    annotations: Path,
    strict: bool = False,
    warn: Callable[[str], object] = warnings.warn,
) -> np.ndarray:
    """Read an image, turned as its EXIF orientation says if its annotated size wants that.

    Args:
        info: the image.
        annotations: where its size is annotated, for errors.
        strict, warn: as of `decode_image`.

    Raises:
        UserError: if the image cannot be read or has another size than the annotations say.
    """
    found: list[tuple[int, ...]] = []
    data = read_file(info.path)
    for apply_exif in (True, False):
        image = decode_image(data, info.path, apply_exif=apply_exif, strict=strict, warn=warn)
        found.append(image.shape)
        if image.shape[:2] == (info.height, info.width):
            return image
    raise wrong_size(info, annotations, found)


def wrong_size(info: ImageInfo, annotations: Path, found: Sequence[tuple[int, ...]]) -> UserError:
    """The error about an image that has another size than its annotations say.

    Args:
        info: the image as it is annotated.
        annotations: where.
        found: height and width of the image as it is seen and as it is stored.
    """
    sizes = " or, as stored, ".join(dict.fromkeys(f"{size[1]}x{size[0]}" for size in found))
    turned = ""
    if (info.width, info.height) in [size[:2] for size in found]:
        turned = " (annotated before it lost an EXIF orientation, or was turned?)"
    return UserError(
        f"{info.path}: expected {info.width}x{info.height} pixels as {annotations} "
        f"says, found {sizes}{turned}; correct the annotations or replace the image"
    )


def used_classes(parsed: ParsedSplit) -> list[str]:
    """Names of the classes with an object, also one that is not learnt."""
    used = np.zeros(len(parsed.classes), bool)
    for record in parsed.records:
        used[record.truth.labels] = True
    return [name for name, is_used in zip(parsed.classes, used, strict=True) if is_used]


def _with_classes(
    path: Path, parsed: ParsedSplit, classes: Sequence[str], classes_of: str
) -> tuple[ParsedSplit, list[str]]:
    """The same split with labels that are indices into `classes`, and a note on what is left out.

    A class that the annotations do not list gets an id of its own.
    """
    extra = [name for name in parsed.classes if name not in classes]
    if not set(classes) & set(parsed.classes) or set(extra) & set(used_classes(parsed)):
        raise UserError(
            f"{path}: expected the {len(classes)} classes of {classes_of} ({quoted(classes)}), "
            f"found {len(parsed.classes)} categories ({quoted(parsed.classes)}); "
            "use data and weights with the same categories, or rename them"
        )
    label_of = {name: label for label, name in enumerate(classes)}
    labels = np.array([label_of.get(name, -1) for name in parsed.classes], np.int64)
    records = [
        replace(
            record,
            labels=labels[record.labels],
            crowd_labels=labels[record.crowd_labels],
            truth=replace(record.truth, labels=labels[record.truth.labels]),
        )
        for record in parsed.records
    ]
    place = {name: index for index, name in enumerate(parsed.classes)}
    taken = set(parsed.category_ids)
    free = (number for number in itertools.count(1) if number not in taken)
    own, given = [], []
    for name in classes:
        index = place.get(name)
        own.append(next(free) if index is None else parsed.category_ids[index])
        given.append(None if index is None else parsed.given_category_ids[index])
    notes = []
    if extra:
        kind = checks.UNUSED_CATEGORY
        notes.append(f"{path.name}: {kind.name}: {quoted(extra)}; {kind.advice}")
    missing = [name for name in classes if name not in place]
    if missing:
        notes.append(f"{path.name}: does not list {quoted(missing)}; AP is n/a there")
    return ParsedSplit(list(classes), own, given, records), notes


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
