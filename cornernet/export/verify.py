"""Whether an exported graph computes what the network computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cornernet.data.scenes import draw_scene
from cornernet.errors import UserError
from cornernet.export.network import ToMaps, inputs_of
from cornernet.export.request import Request
from cornernet.inference.detect import detect
from cornernet.structures import Detections
from cornernet_ops.formulas import box_iou

# Boxes from this score on are compared.
_SCORE = 0.3
# How far boxes of graph and network may differ: intersection over union, and score.
_LEAST_IOU = 0.99
_MOST_SCORE_DIFFERENCE = 1e-4
# In low precision boxes are the same from this overlap on, and this share of them must be.
_SHARED_IOU = 0.5
_LEAST_SHARED = 0.5
# How far maps may differ, as a share of the largest value: a pixel of a shrunk image may differ by
# one level.
_MOST_MAP_DIFFERENCE = 1e-2
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
        shared: the share of boxes, of either, that overlap their counterpart by half or more.
    """

    images: int
    boxes: int
    score_difference: float
    iou: float
    shared: float

    def __str__(self) -> str:
        compared = f"compared with the network on {self.images} images"
        if not self.boxes:
            return (
                f"{compared}: no box scores above {_SCORE:g} in them, so nothing was compared; "
                "name images with objects"
            )
        return (
            f"{compared}: {self.boxes} boxes with scores above {_SCORE:g}, of which "
            f"{self.shared:.1%} are found by both; the smallest overlap is {self.iou:.5f}, scores "
            f"differ by at most {self.score_difference:.1e}"
        )


@dataclass(frozen=True)
class MapAgreement:
    """How the maps of a graph agree with those of the network.

    Attributes:
        images: number of images.
        difference: the largest of a value.
        largest: the largest magnitude of a value.
    """

    images: int
    difference: float
    largest: float

    def __str__(self) -> str:
        return (
            f"compared with the network on {self.images} images: values of maps differ by at most "
            f"{self.difference:.1e}, the largest is {self.largest:.1f}"
        )


def verify_boxes(
    find: Callable[[np.ndarray], Detections], request: Request, images: Sequence[np.ndarray]
) -> Agreement:
    """Compare the boxes of an exported graph with those of the network it was made of.

    Args:
        find: what the graph finds in an image.
        request: what was exported.
        images: [H, W, 3] RGB uint8 each.

    Raises:
        UserError: they disagree.
    """
    overlaps, differences, number = [1.0], [0.0], 0
    for image in images:
        found, (wanted,) = find(image), detect(request.model, [image], request.config)
        for one, other in ((wanted, found), (found, wanted)):
            of_image = _counterparts(one, other)
            overlaps += of_image[0]
            differences += of_image[1]
        number += int((wanted.scores > _SCORE).sum())
    shared = sum(overlap >= _SHARED_IOU for overlap in overlaps) / len(overlaps)
    agreement = Agreement(len(images), number, max(differences), min(overlaps), shared)
    if request.precision != "fp32":
        if shared < _LEAST_SHARED:
            raise UserError(
                f"expected most boxes of the network in {len(images)} images, found {shared:.0%}; "
                "no file was written; calibrate on more images, such as the network will see"
            )
    elif agreement.iou < _LEAST_IOU or agreement.score_difference > _MOST_SCORE_DIFFERENCE:
        raise UserError(
            f"expected the boxes of the network in {len(images)} images, found boxes that overlap "
            f"them by {agreement.iou:.4f} only, with scores {agreement.score_difference:.1e} off; "
            "no file was written; try another version of torch or of the runtime"
        )
    return agreement


@torch.no_grad()
def verify_maps(
    compute: Callable[[Sequence[np.ndarray]], Sequence[Tensor]],
    request: Request,
    images: Sequence[np.ndarray],
) -> MapAgreement:
    """Compare the maps of an exported graph with those of the network it was made of.

    Args:
        compute: the graph's outputs for images of one size, those of `ToMaps`.
        request: what was exported; each image is given as often as its batch is large.
        images: [H, W, 3] RGB uint8 each.

    Raises:
        UserError: they disagree.
    """
    network, worst, largest = ToMaps(request.model), 0.0, 0.0
    for image in images:
        copies = [image] * (request.batch or 1)
        found = compute(copies)
        wanted = network(*inputs_of(copies, request.config, request.multiple))
        *maps, geometry = zip(found, wanted, strict=True)
        if not torch.equal(*geometry) or any(one.shape != other.shape for one, other in maps):
            worst = float("inf")
        else:
            worst = max(worst, *(float((one - other).abs().max()) for one, other in maps))
        largest = max(largest, *(float(other.abs().max()) for _, other in maps))
    limit = _MOST_MAP_DIFFERENCE if request.precision == "fp32" else _SHARED_IOU
    if not worst <= limit * largest:
        raise UserError(
            f"expected the maps of the network in {len(images)} images, found values that are "
            f"{worst:.1e} off; no file was written; try another version of torch or of the runtime"
        )
    return MapAgreement(len(images), worst, largest)


def _counterparts(found: Detections, among: Detections) -> tuple[list[float], list[float]]:
    """Of each box above the score: its overlap with its counterpart, and how scores differ."""
    overlaps, differences = [], []
    kept = found.scores > _SCORE
    for box, score, label in zip(
        found.boxes[kept].double(), found.scores[kept], found.labels[kept], strict=True
    ):
        others = among.boxes.double()
        iou = box_iou(box[None], others).where(among.labels == label, 0.0)
        if not len(iou):
            return [0.0], [1.0]
        best = int(iou.argmax())
        overlaps.append(float(iou[best]))
        differences.append(abs(float(score - among.scores[best])))
    return overlaps, differences


def drawn_images(size: tuple[int, int] | None) -> list[np.ndarray]:
    """Images to compare on where none are given, [H, W, 3] RGB uint8, of one size or of several."""
    rng = np.random.default_rng(0)
    sides = _SIDES if size is None else [size] * len(_SIDES)
    images = []
    for height, width in sides:
        side = max(height, width)
        scene, _, _ = draw_scene(rng, side, side)
        images.append(np.ascontiguousarray(scene[:height, :width]))
    return images
