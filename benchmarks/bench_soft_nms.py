"""soft_nms against a loop of torch calls over one picture's boxes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from cornernet_ops import reference, soft_nms

from . import mmdetection
from .measure import Case

Picks = tuple[Tensor, Tensor, Tensor]

DETECTIONS = 100
SIGMA = 0.5
MIN_SCORE = 1e-3


def random_boxes(
    pictures: int, count: int, classes: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    corner = 511 * torch.rand(pictures, count, 2, generator=generator)
    size = 10 + 150 * torch.rand(pictures, count, 2, generator=generator)
    scores = torch.rand(pictures, count, generator=generator)
    labels = torch.randint(classes, (pictures, count), generator=generator)
    return torch.cat([corner, corner + size], 2).to(device), scores.to(device), labels.to(device)


def loop(boxes: Tensor, scores: Tensor, labels: Tensor) -> Picks:
    """Gaussian soft-NMS as it is written where there is no kernel, pick after pick."""
    pictures = len(boxes)
    results = (
        labels.new_full((pictures, DETECTIONS), -1),
        boxes.new_zeros(pictures, DETECTIONS, 4),
        scores.new_full((pictures, DETECTIONS), -1),
    )
    for n in range(pictures):
        box, label, left = boxes[n], labels[n], scores[n].clone()
        area = (box[:, 2:] - box[:, :2]).prod(1)
        for rank in range(DETECTIONS):
            score, best = left.max(0)
            if float(score) < MIN_SCORE:
                break
            for result, value in zip(results, (best, box[best], score), strict=True):
                result[n, rank] = value
            near = torch.minimum(box[best, 2:], box[:, 2:])
            sides = (near - torch.maximum(box[best, :2], box[:, :2])).clamp_min(0)
            shared = sides.prod(1)
            overlap = shared / (area + area[best] - shared) * (label == label[best])
            left *= torch.exp(-(overlap**2) / SIGMA)
            left[best] = -1
    return results


def mmcv(boxes: Tensor, scores: Tensor, labels: Tensor) -> Picks:
    """mmcv's soft-NMS of one picture after the other; it moves the classes apart and picks all."""
    results = (
        labels.new_full((len(boxes), DETECTIONS), -1),
        boxes.new_zeros(len(boxes), DETECTIONS, 4),
        scores.new_full((len(boxes), DETECTIONS), -1),
    )
    for n, picture in enumerate(zip(boxes, scores, labels, strict=True)):
        picked, index = mmdetection.soft_nms(*picture, sigma=SIGMA, min_score=MIN_SCORE)
        picked, index = picked[:DETECTIONS], index[:DETECTIONS]
        for result, value in zip(results, (index, picked[:, :4], picked[:, 4]), strict=True):
            result[n, : len(value)] = value
    return results


def same_picks(actual: Picks, expected: Picks) -> None:
    """Equal but for rounding, which may exchange picks of nearly equal scores."""
    torch.testing.assert_close(actual[2], expected[2], rtol=0, atol=1e-3)
    assert (actual[0] == expected[0]).float().mean() > 0.9


def cases(device: torch.device, full: bool) -> Iterator[Case]:
    settings = [(1, 1000, 80), (1, 1000, 1)] + [(8, 1000, 80), (1, 200, 80)] * full
    for pictures, count, classes in settings:
        tensors = random_boxes(pictures, count, classes, device)
        yield _case(f"{pictures} pictures, {count} boxes, {classes} classes", tensors)


def _case(setting: str, tensors: tuple[Tensor, Tensor, Tensor]) -> Case:
    options: dict[str, Any] = {
        "method": "gaussian",
        "iou_threshold": 0.5,
        "sigma": SIGMA,
        "min_score": MIN_SCORE,
        "max_detections": DETECTIONS,
    }
    pictures, count = tensors[1].shape
    others = {
        "reference": lambda: reference.soft_nms(*tensors, **options),
        "loop": lambda: loop(*tensors),
    }
    if mmdetection.available():
        others["mmcv"] = lambda: mmcv(*tensors)
    return Case(
        op="soft_nms",
        part=f"best {DETECTIONS}",
        variant="gaussian",
        setting=setting,
        moved=pictures * (count * (5 * 4 + 8) + DETECTIONS * (5 * 4 + 16)),
        call=lambda: soft_nms(*tensors, **options),
        others=others,
        same=same_picks,
    )
