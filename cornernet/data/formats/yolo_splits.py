"""Which images and classes a dataset in the format YOLO has: `data.yaml` and its like."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import yaml

from cornernet.config.safe_yaml import load_yaml
from cornernet.data.checks import shown
from cornernet.data.directories import (
    WHOLE,
    has_image,
    starts_like_a_split,
    subdirectories,
    visible,
)
from cornernet.data.fields import whole_number
from cornernet.data.text import read_lines, read_text
from cornernet.errors import UserError

YAML_SUFFIXES = (".yaml", ".yml")
_DARKNET = ".data"
_SPLITS = ("train", "val", "test")
_CLASS_LISTS = ("classes.txt", "obj.names")


class _TextLoader(yaml.SafeLoader):
    """Reads every plain value as text: a class may be called "no", "1e3" or "007"."""


_TextLoader.yaml_implicit_resolvers = {}


def read_yaml(path: Path) -> dict[str, Any]:
    """The content of a `data.yaml`, all of whose values are text.

    Raises:
        UserError: it cannot be read, or names no classes.
    """
    try:
        content = load_yaml(read_text(path, "strict"), _TextLoader)
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path}: expected YAML, found '{reason}'; correct the file") from None
    if not isinstance(content, dict) or not isinstance(content.get("names"), (list, dict)):
        raise UserError(f"{path}: expected the key 'names' with the classes, found none; add it")
    return content


def read_darknet(path: Path) -> dict[str, str]:
    """The `key = value` lines of Darknet's `obj.data`; its "valid" is called "val"."""
    pairs = (line.partition("=") for line in read_lines(path) if "=" in line)
    content = {key.strip(): value.strip() for key, _, value in pairs}
    return {{"valid": "val"}.get(key, key): value for key, value in content.items()}


def class_names(path: Path) -> dict[int, str]:
    """Class names by index, from a `data.yaml`, an `obj.data`, or a text file of one a line."""
    if path.suffix == _DARKNET:
        names = path.parent / Path(read_darknet(path).get("names", "obj.names")).name
        return class_names(names)
    if path.suffix not in YAML_SUFFIXES:
        try:
            lines = read_lines(path)
        except OSError as error:
            raise UserError(
                f"{path}: expected the names of the classes, got the system's error "
                f"'{error.strerror or error}'; add the file"
            ) from None
        return {index: line for index, line in enumerate(lines) if line}
    given = read_yaml(path)["names"]
    items = given.items() if isinstance(given, dict) else enumerate(given)
    found = {}
    for key, name in items:
        index = whole_number(key)
        if index is None or not isinstance(name, str):
            raise UserError(
                f"{path}: expected numbers as keys of 'names' and text as values, found "
                f"{shown(key)}: {shown(name)}; correct the file"
            )
        found[index] = name
    return found


def keypoint_numbers(names: Path) -> int:
    """How many numbers of keypoints follow a box in each line, as `kpt_shape` of the YAML says."""
    shape = read_yaml(names).get("kpt_shape") if names.suffix in YAML_SUFFIXES else None
    if not isinstance(shape, list):
        return 0
    sizes = [size for item in shape if (size := whole_number(item)) is not None]
    return math.prod(sizes) if len(sizes) == len(shape) else 0


def find_splits(root: Path) -> dict[str, Path]:
    """The file with the classes of each split: a `data.yaml`, another YAML file, an `obj.data`.

    If none names a split, the directories `images/<split>` or `<split>/images` are taken, with the
    classes of such a file or of a list; or else all of `images`.

    Raises:
        UserError: `data.yaml` cannot be read.
    """
    files = [path for suffix in YAML_SUFFIXES for path in visible(root, f"*{suffix}")]
    names = None
    for path in sorted(files, key=lambda path: path.name != "data.yaml"):
        try:
            content = read_yaml(path)
        except UserError:
            if path.name == "data.yaml":
                raise
            continue
        if found := {split: path for split in _SPLITS if content.get(split)}:
            return found
        names = names or path
    for path in visible(root, f"*{_DARKNET}"):
        named = read_darknet(path)
        if found := {split: path for split in _SPLITS if named.get(split)}:
            return found
    names = names or _list_of_classes(root)
    if names is None:
        return {}
    directories = [*subdirectories(root / "images"), *subdirectories(root)]
    splits = {path.name for path in directories if starts_like_a_split(path.name)}
    found = {name: names for name in sorted(splits) if _directory(root, name) is not None}
    return found or ({WHOLE: names} if (root / "labels").is_dir() else {})


def find_flat(root: Path) -> dict[str, Path]:
    """A list of classes in a directory where label files lie beside their images."""
    names = _list_of_classes(root)
    has_labels = names is not None and any(has_image(path) for path in visible(root, "*.txt"))
    return {WHOLE: names} if names is not None and has_labels else {}


def _list_of_classes(root: Path) -> Path | None:
    return next((root / name for name in _CLASS_LISTS if (root / name).is_file()), None)


def _directory(root: Path, split: str) -> Path | None:
    """The directory of a split's images, if there is one of labels to go with it."""
    for images, labels in (("images/{}", "labels/{}"), ("{}/images", "{}/labels")):
        if split and (root / labels.format(split)).is_dir():
            if (root / images.format(split)).is_dir():
                return root / images.format(split)
    return None


def _named(path: Path) -> dict[str, Any]:
    """What the file with the classes says of the splits; empty for a plain list of classes."""
    if path.suffix == _DARKNET:
        return dict(read_darknet(path))
    return read_yaml(path) if path.suffix in YAML_SUFFIXES else {}


def image_sources(path: Path, root: Path, split: str) -> list[Path]:
    """The directories or lists of images of a split.

    A name in a `data.yaml` starts from its `path` or from the file itself. Some exports name a
    directory one level too high ("../train/images"), or one of the computer that made them.

    Args:
        path: where the split was found, see `find_splits`.
        root: the data directory.
        split: its name.

    Raises:
        UserError: a name leads to nothing inside the data directory.
    """
    content = _named(path)
    values = content.get(split)
    if not any(content.get(name) for name in _SPLITS):
        directories = (_directory(root, split), root / "images", root)
        return [next(item for item in directories if item is not None and item.is_dir())]
    sources = []
    for value in values if isinstance(values, list) else [values]:
        source = _source(str(value).replace("\\", "/"), content.get("path"), path.parent, root)
        if source is None:
            raise UserError(
                f"{path}: expected '{split}' to name images in {root}, found {shown(value)}; "
                "correct the path"
            )
        sources.append(source)
    return sources


def _source(name: str, base: Any, parent: Path, root: Path) -> Path | None:
    """The directory or file in the data directory that a name leads to; None if there is none."""
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    tails = ["/".join(parts[first:]) for first in range(len(parts))]
    above = parent / name.removeprefix("../")
    candidates = [parent / str(base or ".") / name, parent / name, above]
    candidates += [root / tail for tail in tails]
    inside = os.path.join(os.path.abspath(root), "")
    for candidate in candidates:
        if os.path.abspath(candidate).startswith(inside) and os.path.exists(candidate):
            return candidate
    return None
