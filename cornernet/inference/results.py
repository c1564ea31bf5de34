"""Detections read back from a file in COCO's result format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cornernet.data.checks import box_numbers, shown
from cornernet.data.coco import CocoDataset
from cornernet.data.fields import number
from cornernet.errors import UserError
from cornernet.structures import Detections


def read_results(path: Path, dataset: CocoDataset) -> dict[int, Detections]:
    """The detections of a split by image id, best first.

    Args:
        path: a JSON list of objects with image_id, category_id, bbox and score, with the ids of
            the annotations.
        dataset: the split.

    Raises:
        UserError: the file cannot be read, is no such list, or is of another dataset.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: expected detections as JSON, got '{reason}'") from None
    if not isinstance(content, list):
        kind = type(content).__name__
        raise UserError(f"{path}: expected a list of detections, found a {kind}")
    image_ids, labels = dataset.given_ids()
    found: dict[int, list[tuple[Any, ...]]] = {}
    for place, item in enumerate(content):
        entry = item if isinstance(item, dict) else {}
        box, score = box_numbers(entry.get("bbox")), number(entry.get("score"))
        image, label = (
            table.get(value) if isinstance(value, (int, str)) else None
            for table, value in (
                (image_ids, entry.get("image_id")),
                (labels, entry.get("category_id")),
            )
        )
        if box is None or score is None or image is None or label is None:
            raise UserError(
                f"{path}: expected entry {place} to have an image_id and a category_id of "
                f"{dataset.annotation_path}, a bbox and a score, found {shown(item)}"
            )
        x, y, width, height = box
        found.setdefault(image, []).append((-score, (x, y, x + width, y + height), label))
    return {image: _detections(sorted(rows)) for image, rows in found.items()}


def _detections(rows: list[tuple[Any, ...]]) -> Detections:
    scores, boxes, labels = zip(*rows, strict=True)
    return Detections(
        torch.tensor(boxes, dtype=torch.float32),
        torch.from_numpy(-np.array(scores, np.float32)),
        torch.tensor(labels),
    )
