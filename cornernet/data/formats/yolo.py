"""YOLO: `data.yaml` with class names and directories of images, and a text file for each image.

A line of a label file is a class and a box, `class x y width height`, perhaps with keypoints behind
it, or a class and a polygon, `class x y x y x y ...`. All coordinates are shares of the image's
width and height; x and y of a box are its centre. An image without a label file has no objects.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cornernet.data import checks
from cornernet.data.checks import Issue, Section, shown
from cornernet.data.fields import number, polygon_box, whole_number
from cornernet.data.formats.exact import box_from_yolo
from cornernet.data.formats.yolo_splits import class_names, keypoint_numbers
from cornernet.data.images import IMAGE_SUFFIXES, image_size
from cornernet.data.paths import ImageFinder
from cornernet.data.text import read_lines
from cornernet.errors import UserError


def read_yolo(
    names: Path, sources: list[Path], root: Path
) -> tuple[dict[str, list[Any]], list[Issue]]:
    """The annotations of a split as COCO's sections, not checked yet, and lines that are broken.

    Args:
        names: the file with the class names, see `class_names`.
        sources: directories of images, or text files that list images.
        root: the data directory.

    Raises:
        UserError: the names cannot be read.
    """
    content: dict[str, list[Any]] = {"images": [], "annotations": []}
    content["categories"] = [
        {"id": index, "name": name} for index, name in class_names(names).items()
    ]
    section = Section("images", [], ())
    points = keypoint_numbers(names)
    for image in _images(sources, root):
        section.entries.append(image)
        size = image_size(image, apply_exif=True)
        image_id = len(section.entries)
        file_name = os.path.relpath(image, root)
        if size is None:
            text = f"{image}: expected an image whose size can be read, found none"
            section.add(checks.UNREADABLE, file_name, text)
            continue
        content["images"].append(
            {"id": image_id, "file_name": file_name, "width": size[0], "height": size[1]}
        )
        labels = _label_file(image, root)
        for line, category, bbox in _objects(labels, size, points):
            content["annotations"].append(
                {
                    "id": f"{labels.name}:{line}",
                    "image_id": image_id,
                    "category_id": category,
                    "bbox": bbox,
                }
            )
    _number_repeated(content["annotations"])
    return content, section.issues()


def _images(sources: list[Path], root: Path) -> Iterator[Path]:
    finder = ImageFinder((root,), root)
    for source in sources:
        if source.is_dir():
            files = (path for path in source.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
            yield from sorted(path for path in files if not path.name.startswith("."))
            continue
        if source.suffix.lower() in IMAGE_SUFFIXES:
            yield source
            continue
        beside = ImageFinder((source.parent, root), root)
        for name in dict.fromkeys(filter(None, read_lines(source))):
            # Lists start from the data directory or the list, or are of another computer.
            path = beside.find(name) or finder.find_last_parts(f"/{name.lstrip('./')}")
            if path is None and beside.leaves(name):
                raise UserError(
                    f"{source}: expected images in {root}, found {shown(name)}; "
                    "write paths relative to the data directory"
                )
            yield Path(path or root / name)


def _label_file(image: Path, root: Path) -> Path:
    """The label file of an image: in `labels` where the image is in `images`, or beside it."""
    beside = image.with_suffix(".txt")
    parts = list(Path(os.path.relpath(beside, root)).parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            return root.joinpath(*parts)
    return beside


def _objects(
    path: Path, size: tuple[int, int], keypoint_numbers: int
) -> Iterator[tuple[int, int | str, Any]]:
    """Line number, category and `x y width height` in pixels of each line of a label file."""
    if not path.is_file():
        return
    for place, words in enumerate((line.split() for line in read_lines(path)), 1):
        if not words:
            continue
        if keypoint_numbers and len(words) == 5 + keypoint_numbers:
            words = words[:5]
        values = [number(word) for word in words[1:]]
        shares = [value for value in values if value is not None]
        bbox: Any = words[1:4]  # not a box, which the checks will say
        if len(values) == 4:
            bbox = box_from_yolo(words[1:], size) or bbox
        elif len(shares) == len(values) >= 6 and len(values) % 2 == 0:
            polygon = [value * size[place % 2] for place, value in enumerate(shares)]
            bbox = polygon_box([polygon])
        index = whole_number(words[0])
        yield place, words[0] if index is None else index, bbox


def _number_repeated(annotations: list[dict[str, Any]]) -> None:
    """Make ids unique where label files in several directories have one name."""
    seen: dict[str, int] = {}
    for entry in annotations:
        entry_id = entry["id"]
        seen[entry_id] = seen.get(entry_id, 0) + 1
        if seen[entry_id] > 1:
            entry["id"] = f"{entry_id} ({seen[entry_id]})"
