"""Images of a dataset, of what a network sees of it and of what it finds, for contact sheets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cornernet.data.coco import CocoDataset
from cornernet.report.draw import draw_detections
from cornernet.report.heat_maps import draw_heat_maps
from cornernet.structures import Detections, Sample

Panel = tuple[str, np.ndarray]
"""A caption, and an image, [H, W, 3] RGB uint8."""

# Images are drawn at least this large, so that text fits.
_LEAST_SIDE = 320


def annotated(dataset: CocoDataset, index: int) -> Panel:
    """An image with all of its objects; crowds and objects to ignore are called so."""
    sample, truth = dataset.load(index), dataset.truth(index)
    boxes = truth.boxes.copy()
    boxes[:, 2:] += boxes[:, :2]
    number = len(dataset.classes)
    kind = np.where(truth.crowds, 1, np.where(truth.ignored, 2, 0))
    suffixes = ("", " (crowd)", " (ignored)")
    names = [name + suffix for suffix in suffixes for name in dataset.classes]
    image = _with_boxes(sample.image, boxes, truth.labels + kind * number, names)
    return f"{dataset.info(index).file_name}: {_counted(len(boxes), 'object')}", image


def augmented(sample: Sample, classes: Sequence[str], name: str) -> Panel:
    """What a network sees of an image, with the boxes that it learns."""
    image = _with_boxes(_pixels(sample), sample.boxes, sample.labels, classes)
    return f"{name}: {_counted(len(sample.boxes), 'object')}", image


def with_targets(
    sample: Sample, targets: Mapping[str, Any], place: int, classes: Sequence[str], name: str
) -> Panel:
    """What a network sees of an image, and the heat-maps that it should put out.

    Args:
        sample: the image as it is learnt.
        targets: what each part of the network should put out for a batch, by its name.
        place: of the image in the batch.
        classes: names by label.
        name: of the image, for the caption.
    """
    maps = {}
    for part, target in targets.items():
        for key in target._fields:
            if key.endswith(("heat", "heats")):
                value = getattr(target, key)
                levels = (value,) if isinstance(value, Tensor) else value
                maps[f"{part} {key.removesuffix('heats').removesuffix('heat').strip('_')}"] = [
                    level[place].amax(0).float().numpy() for level in levels
                ]
    image = draw_heat_maps(_enlarged(_pixels(sample)), maps)
    return f"{name}: {_counted(len(sample.boxes), 'object')}", image


def beside_truth(dataset: CocoDataset, index: int, found: Detections | None, caption: str) -> Panel:
    """An image with its objects on the left and with detections, if any, on the right."""
    _, truth = annotated(dataset, index)
    right = dataset.load(index).image
    if found is None:
        found = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    right = draw_detections(right, found, dataset.classes, _zoom(right))
    return f"{dataset.info(index).file_name}: {caption}", np.hstack([truth, _gap(truth), right])


def _gap(image: np.ndarray) -> np.ndarray:
    return np.full((len(image), 4, 3), 255, np.uint8)


def _with_boxes(
    image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, names: Sequence[str]
) -> np.ndarray:
    scores = torch.ones(len(boxes))  # which are not written
    found = Detections(torch.from_numpy(boxes), scores, torch.from_numpy(labels))
    return draw_detections(image, found, names, _zoom(image))


def _pixels(sample: Sample) -> np.ndarray:
    return np.clip(sample.image, 0, 255).round().astype(np.uint8)


def _zoom(image: np.ndarray) -> float:
    return max(1.0, _LEAST_SIDE / max(image.shape[:2]))


def _enlarged(image: np.ndarray) -> np.ndarray:
    factor = math.ceil(_zoom(image))
    return image.repeat(factor, 0).repeat(factor, 1)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
