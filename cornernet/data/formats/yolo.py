"""YOLO: `data.yaml` with class names and directories of images, and a text file for each image.

A line of a label file is a class and a box, `class x y width height`, or a class and a polygon,
`class x y x y x y ...`; all coordinates are shares of the image's width and height, and x and y of
a box are its centre. An image without a label file has no objects.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from cornernet.data import checks
from cornernet.data.checks import Issue, Section, shown
from cornernet.data.fields import number, polygon_box, whole_number
from cornernet.data.images import IMAGE_SUFFIXES, image_size
from cornernet.errors import UserError


def read_yaml(path: Path) -> dict[str, Any]:
    """The content of a `data.yaml`.

    Raises:
        UserError: it cannot be read, or names no classes.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path}: expected YAML, found '{reason}'; correct the file") from None
    if not isinstance(content, dict) or not isinstance(content.get("names"), (list, dict)):
        raise UserError(f"{path}: expected the key 'names' with the classes, found none; add it")
    return content


def class_names(path: Path) -> dict[int, str]:
    """Class names by index, from a `data.yaml` or from a text file with one name in each line."""
    if path.suffix == ".txt":
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        return {index: line.strip() for index, line in enumerate(lines) if line.strip()}
    names = read_yaml(path)["names"]
    items = names.items() if isinstance(names, dict) else enumerate(names)
    found = {}
    for key, name in items:
        index = whole_number(key)
        if index is None:
            raise UserError(f"{path}: expected numbers as keys of 'names', found {shown(key)}")
        found[index] = str(name)
    return found


def image_sources(path: Path, root: Path, split: str) -> list[Path]:
    """The directories or lists of images that a `data.yaml` names for a split.

    A name starts from the file's `path` or from the file itself. Some exports name a directory
    one level too high ("../train/images").

    Raises:
        UserError: a name leads to nothing inside the data directory.
    """
    content = read_yaml(path)
    values = content.get(split)
    sources = []
    for value in values if isinstance(values, list) else [values]:
        name = str(value).replace("\\", "/")
        below = [path.parent / str(content.get("path") or "."), path.parent]
        candidates = [base / name for base in below]
        candidates.append(path.parent / name.removeprefix("../"))
        inside = os.path.join(os.path.abspath(root), "")
        source = next(
            (
                candidate
                for candidate in candidates
                if candidate.exists() and os.path.abspath(candidate).startswith(inside)
            ),
            None,
        )
        if source is None:
            raise UserError(
                f"{path}: expected '{split}' to name images in {root}, found {shown(value)}; "
                "correct the path"
            )
        sources.append(source)
    return sources


def read_yolo(
    names: Path, sources: list[Path], root: Path
) -> tuple[dict[str, list[Any]], list[Issue]]:
    """The annotations of a split as COCO's sections, not checked yet, and lines that are broken.

    Args:
        names: the file with the class names.
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
        for line, category, bbox in _objects(labels, size):
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
    for source in sources:
        if source.is_dir():
            files = (path for path in source.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
            yield from sorted(path for path in files if not path.name.startswith("."))
        else:
            lines = source.read_text(encoding="utf-8", errors="replace").splitlines()
            for name in (line.strip().replace("\\", "/") for line in lines if line.strip()):
                below = (source.parent / name, root / name)
                path = next((path for path in below if path.is_file()), below[-1])
                if not os.path.abspath(path).startswith(os.path.join(os.path.abspath(root), "")):
                    raise UserError(
                        f"{source}: expected images in {root}, found {shown(name)}; "
                        "write paths relative to the data directory"
                    )
                yield path


def _label_file(image: Path, root: Path) -> Path:
    """The label file of an image: in `labels` where the image is in `images`, or beside it."""
    beside = image.with_suffix(".txt")
    parts = list(Path(os.path.relpath(beside, root)).parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            return root.joinpath(*parts)
    return beside


def _objects(path: Path, size: tuple[int, int]) -> Iterator[tuple[int, int | str, Any]]:
    """Line number, category and `x y width height` in pixels of each line of a label file."""
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for place, words in enumerate((line.split() for line in lines), 1):
        if not words:
            continue
        values = [number(word) for word in words[1:]]
        shares = [value for value in values if value is not None]
        bbox: Any = words[1:4]  # not a box, which the checks will say
        if len(shares) == len(values) == 4:
            x, y, width, height = shares
            bbox = [(x - width / 2) * size[0], (y - height / 2) * size[1]]
            bbox += [width * size[0], height * size[1]]
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
