"""A split of random objects and crowds with detections that are near some of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cornernet.data.coco import CocoDataset
from cornernet.data.images import write_image
from cornernet.structures import Detections

SIDE = 128


def random_split(
    root: Path, seed: int, classes: int = 3, images: int = 12, empty_class: bool = True
) -> tuple[CocoDataset, dict[int, Detections]]:
    """Objects of all of COCO's sizes, crowds, equal scores, images without either, a class without.

    The images are one file: only their sizes count.
    """
    rng = np.random.default_rng(seed)
    side = 8 * SIDE
    directory = root / "val"
    directory.mkdir(parents=True)
    write_image(directory / "0.png", np.zeros((side, side, 3), np.uint8))
    used = classes - (empty_class and classes > 1)
    annotations: list[dict[str, Any]] = []
    found: dict[int, Detections] = {}
    for image_id in range(1, images + 1):
        boxes = _boxes(rng, int(rng.integers(0, 8)), side)
        labels: list[int] = []
        for box in boxes:
            labels.append(int(rng.integers(used)))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 10 * labels[-1] + 1,
                    "bbox": box.tolist(),
                    "area": float(box[2] * box[3]),
                    "iscrowd": int(rng.random() < 0.15),
                }
            )
        found[image_id] = _detections(rng, boxes, np.array(labels, int), classes, side)
    categories = [{"id": 10 * label + 1, "name": f"class {label}"} for label in range(classes)]
    listed = [
        {"id": number, "file_name": "0.png", "width": side, "height": side}
        for number in range(1, images + 1)
    ]
    content = {"images": listed, "annotations": annotations, "categories": categories}
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_val.json").write_text(json.dumps(content))
    del found[images]  # an image that nothing was found in need not be listed
    return CocoDataset(root, "val"), found


def _boxes(rng: np.random.Generator, number: int, side: int) -> np.ndarray:
    """Random x, y, width, height with sides from 8 pixels to a quarter of the image."""
    sizes = np.exp(rng.uniform(np.log(8), np.log(side / 4), (number, 2)))
    return np.concatenate([rng.uniform(0, side * 0.75, (number, 2)), sizes], axis=1).round(1)


def _detections(
    rng: np.random.Generator, boxes: np.ndarray, labels: np.ndarray, classes: int, side: int
) -> Detections:
    """Each object found up to three times, more or less exactly, and some that are not there."""
    chosen = np.repeat(np.arange(len(boxes)), rng.integers(0, 4, len(boxes)))
    near = boxes[chosen] + rng.normal(0, 0.12, (len(chosen), 4)) * boxes[chosen][:, [2, 3, 2, 3]]
    near[:, 2:] = near[:, 2:].clip(2)
    all_boxes = np.concatenate([near, _boxes(rng, int(rng.integers(0, 6)), side)])
    all_labels = rng.integers(0, classes, len(all_boxes))
    right = rng.random(len(chosen)) < 0.8
    all_labels[: len(chosen)] = np.where(right, labels[chosen], all_labels[: len(chosen)])
    all_boxes[:, 2:] += all_boxes[:, :2]
    scores = np.sort(rng.integers(1, 20, len(all_boxes)) / 20)[::-1].copy()  # many are equal
    return Detections(
        torch.from_numpy(all_boxes).float(),
        torch.from_numpy(scores).float(),
        torch.from_numpy(all_labels),
    )
