"""Synthetic datasets in COCO's format: drawn shapes, for first steps and tests, and scenes.

Scenes (`scenes.py`) are what the weights of `train.init: shapes` were learnt from. Every image of
drawn shapes shows shapes of several classes on a plain, graded, striped or cloudy background with
clutter: filled, bordered or hollow, in any colour, rotated by any angle, overlapping a little and
sometimes cut off at the edge of the image. The classes are easy to tell apart for a person, but a
network has to learn them, because neither colour nor size nor position depends on the class.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from cornernet.data.images import write_image
from cornernet.data.scenes import SCENE_CLASSES, draw_scene
from cornernet.data.shapes import CLASSES, draw_shapes
from cornernet.errors import UserError
from cornernet.runtime.files import new_folder

Style = Literal["shapes", "scenes"]
Drawing = tuple[np.ndarray, list[tuple[float, float, float, float]], list[int]]
"""An image `[H, W, 3]` uint8 RGB, its boxes (xyxy px) and labels (indices of the classes)."""


def synthesize(
    root: str | os.PathLike[str],
    *,
    train: int = 400,
    val: int = 100,
    style: Style = "shapes",
    classes: Sequence[str] | None = None,
    seed: int = 0,
    min_side: int = 160,
    max_side: int = 256,
) -> Path:
    """Write a data directory of generated images with the splits "train" and "val".

    The same arguments give the same bytes. Every image has a random generator of its own, so a
    larger number of images does not change the first ones. A box encloses the whole shape as it was
    drawn, even if a later shape hides a part of it, and is clipped to the image.

    Args:
        root: the directory to make; it may exist if it is empty.
        train, val: number of images in each split.
        style: "shapes", of five classes, or "scenes", objects of any outline on rich backgrounds,
            all of one class.
        classes: shapes to draw, out of `CLASSES`, in the order of their category ids; None: all.
        seed: at least 0.
        min_side, max_side: the sides of the images are drawn uniformly from this range, in pixels.

    Returns:
        `root` as a path.

    Raises:
        UserError: if `root` is not empty, cannot be written, or an argument is out of range.
    """
    target = Path(root)
    _check_arguments(train, val, style, classes, seed, min_side, max_side)
    names = SCENE_CLASSES if style == "scenes" else tuple(classes or CLASSES)

    def draw(rng: np.random.Generator) -> Drawing:
        if style == "scenes":
            return draw_scene(rng, min_side, max_side)
        return draw_shapes(rng, names, min_side, max_side)

    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        found = "a directory that is not empty" if target.is_dir() else "a file"
        raise UserError(
            f"{target}: expected a new or empty directory to write the data to, found {found}; "
            "choose another name or remove it"
        )
    # The directory gets its name when it is complete, so that half a dataset is never found there.
    try:
        with new_folder(target) as unfinished:
            (unfinished / "annotations").mkdir()
            for number, (split, count) in enumerate((("train", train), ("val", val))):
                images, annotations = _write_images(unfinished / split, count, (seed, number), draw)
                content = {
                    "info": {"description": f"drawn {style}, seed {seed}", "version": "1"},
                    "licenses": [],
                    "images": images,
                    "annotations": annotations,
                    "categories": [
                        {"id": label + 1, "name": name} for label, name in enumerate(names)
                    ],
                }
                path = unfinished / "annotations" / f"instances_{split}.json"
                path.write_text(json.dumps(content) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{target}: expected to write data here, got the system's error "
            f"'{error.strerror or error}'; choose a directory that is writable and has room"
        ) from None
    return target


def _check_arguments(
    train: int,
    val: int,
    style: str,
    classes: Sequence[str] | None,
    seed: int,
    min_side: int,
    max_side: int,
) -> None:
    for field, count in (("train", train), ("val", val)):
        if count < 1:
            raise UserError(f"must be at least 1, got {count}", field=field)
    if style not in get_args(Style):
        raise UserError(f"must be {' or '.join(get_args(Style))}, got {style!r}", field="style")
    if classes is not None:
        _check_classes(style, classes)
    if seed < 0:
        raise UserError(f"must be at least 0, got {seed}", field="seed")
    if not 64 <= min_side <= 4096:
        raise UserError(f"must be from 64 to 4096 pixels, got {min_side}", field="min_side")
    if not min_side <= max_side <= 4096:
        raise UserError(
            f"must be from min_side = {min_side} to 4096 pixels, got {max_side}", field="max_side"
        )


def _check_classes(style: str, classes: Sequence[str]) -> None:
    if style == "scenes":
        raise UserError("can only be chosen for shapes; scenes have one class", field="classes")
    unknown = [name for name in classes if name not in CLASSES]
    if unknown or not classes or len(set(classes)) < len(classes):
        raise UserError(
            f"must be different names out of {', '.join(CLASSES)}, "
            f"got {', '.join(classes) or 'none'}",
            field="classes",
        )


def _write_images(
    directory: Path,
    count: int,
    seed: tuple[int, int],
    draw: Callable[[np.random.Generator], Drawing],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Draw images into a new directory; returns COCO's entries for images and annotations."""
    directory.mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        image, boxes, labels = draw(np.random.default_rng([*seed, index]))
        identity = index + 1
        file_name = f"{identity:06d}.jpg"
        write_image(directory / file_name, image)
        height, width = image.shape[:2]
        images.append({"id": identity, "file_name": file_name, "width": width, "height": height})
        for (x1, y1, x2, y2), label in zip(boxes, labels, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": identity,
                    "category_id": label + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                    "segmentation": [],
                }
            )
    return images, annotations
