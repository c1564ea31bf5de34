"""Images of an evaluation with its errors drawn into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cornernet.data.coco import read_annotated
from cornernet.data.parse import ImageInfo
from cornernet.errors import UserError
from cornernet.report.draw import draw_detections
from cornernet.report.page import WorstImage
from cornernet.report.sheet import data_uri, thumbnail
from cornernet.structures import Detections

_RIGHT, _WRONG = (26, 127, 55), (209, 36, 47)
# Longer sides in pixels: images are enlarged to the first, so that text fits, and stored within
# the second.
_DRAWN, _STORED = 480, 640


def draw_worst(review: Mapping[str, Any]) -> list[WorstImage]:
    """The worst images of an evaluation, as far as they can be read.

    Args:
        review: see `inference.review`.
    """
    classes = [row["name"] for row in review["classes"]]
    return [_drawn(entry, classes, review["split"]) for entry in review["worst"]]


def _drawn(entry: Mapping[str, Any], classes: Sequence[str], split: str) -> WorstImage:
    name = Path(entry["file"]).name
    counts = (entry["missed"], entry["wrong"])
    try:
        info = ImageInfo(name, entry["file"], entry["width"], entry["height"], 0, 0)
        image = read_annotated(info, Path(split))
    except UserError as error:
        return WorstImage(name, *counts, reason=f"{error}; name the dataset to draw it again")
    drawn = [_with_boxes(image, entry[key], classes) for key in ("objects", "detections")]
    return WorstImage(name, *counts, [data_uri(thumbnail(item, _STORED)) for item in drawn])


def _with_boxes(image: np.ndarray, boxes: Mapping[str, Any], classes: Sequence[str]) -> np.ndarray:
    number = len(boxes["labels"])
    found = Detections(
        torch.tensor(boxes["boxes"], dtype=torch.float32).reshape(number, 4),
        torch.tensor(boxes.get("scores", [1.0] * number)),  # of 1: not written
        torch.tensor(boxes["labels"], dtype=torch.int64),
    )
    colors = [_RIGHT if right else _WRONG for right in boxes["right"]]
    zoom = max(1.0, _DRAWN / max(image.shape[:2]))
    return draw_detections(image, found, classes, zoom, colors)
