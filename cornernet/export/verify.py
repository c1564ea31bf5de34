"""Whether an exported graph finds what the network finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cornernet.config import Config
from cornernet.data.scenes import draw_scene
from cornernet.errors import UserError
from cornernet.inference.detect import detect
from cornernet.inference.graph import GraphDetector
from cornernet.model.fuse import FusedDetector
from cornernet.structures import Detections

# Boxes from this score on are compared.
_SCORE = 0.3
# How far boxes of graph and network may differ: intersection over union, and score.
_LEAST_IOU = 0.99
_MOST_SCORE_DIFFERENCE = 1e-4
# Sides of drawn images in pixels, where none are given.
_SIDES = ((160, 160), (200, 320), (321, 243))


@dataclass(frozen=True)
class Agreement:
    """How the boxes of a graph agree with those of the network.

    Attributes:
        images: number of images.
        boxes: of the network in them that were compared, whose scores are above 0.3.
        score_difference: the largest of the scores of a box.
        iou: the smallest overlap of a box with its counterpart.
    """

    images: int
    boxes: int
    score_difference: float
    iou: float


def verify(
    path: Path, model: FusedDetector, config: Config, images: Sequence[np.ndarray] | None
) -> Agreement:
    """Compare an exported graph with the network it was made of.

    Args:
        path: the ONNX file.
        model: the network.
        config: what was exported.
        images: [H, W, 3] RGB uint8 each; None draws some.

    Raises:
        UserError: they disagree.
    """
    graph = GraphDetector(path)
    if images is None:
        images = _drawn(graph.size)
    worst_iou, worst_score, number = 1.0, 0.0, 0
    for image in images:
        (found,), (wanted,) = graph.detect([image]), detect(model, [image], config)
        for one, other in ((wanted, found), (found, wanted)):
            iou, score = _counterparts(one, other)
            worst_iou = min(worst_iou, *iou, 1.0)
            worst_score = max(worst_score, *score, 0.0)
        number += int((wanted.scores > _SCORE).sum())
    if worst_iou < _LEAST_IOU or worst_score > _MOST_SCORE_DIFFERENCE:
        raise UserError(
            f"{path}: expected the boxes of the network in {len(images)} images, found boxes that "
            f"overlap them by {worst_iou:.4f} only, with scores {worst_score:.1e} off; the file "
            "was removed; try another version of torch or onnxruntime"
        )
    return Agreement(len(images), number, worst_score, worst_iou)


def _counterparts(found: Detections, among: Detections) -> tuple[list[float], list[float]]:
    """Of each box above the score: its overlap with its counterpart, and how scores differ."""
    overlaps, differences = [], []
    kept = found.scores > _SCORE
    for box, score, label in zip(
        found.boxes[kept].double(), found.scores[kept], found.labels[kept], strict=True
    ):
        others = among.boxes.double()
        sides = (
            torch.minimum(box[2:], others[:, 2:]) - torch.maximum(box[:2], others[:, :2])
        ).clamp_min(0)
        shared = sides.prod(1)
        areas = (others[:, 2:] - others[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
        iou = (shared / (areas - shared)).where(among.labels == label, 0.0)
        if not len(iou):
            return [0.0], [1.0]
        best = int(iou.argmax())
        overlaps.append(float(iou[best]))
        differences.append(abs(float(score - among.scores[best])))
    return overlaps, differences


def _drawn(size: Sequence[int] | None) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    sides = _SIDES if size is None else [(size[0], size[1])] * len(_SIDES)
    images = []
    for height, width in sides:
        side = max(height, width)
        scene, _, _ = draw_scene(rng, side, side)
        images.append(np.ascontiguousarray(scene[:height, :width]))
    return images
