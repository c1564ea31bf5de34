"""What flows through the detector, whatever it is made of: images, batches and detections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:  # what needs no network does without torch, which takes a second to load
    import torch
    from torch import Tensor


def _no_boxes() -> np.ndarray:
    return np.zeros((0, 4), np.float32)


def _no_labels() -> np.ndarray:
    return np.zeros(0, np.int64)


@dataclass
class Sample:
    """One picture and its objects, as read and as augmented.

    Args:
        image: `[H, W, 3]` RGB, uint8 (float32 in 0..255 during augmentation).
        boxes: `[n, 4]` float32, `x1 y1 x2 y2` in pixels; the picture spans 0..W and 0..H.
        labels: `[n]` int64, 0..K-1.
        image_id: the picture's id in the annotation file.
        path: where the picture was read from.
        crowd_boxes: `[m, 4]` float32, as `boxes`: regions that hold a crowd (`iscrowd` = 1);
            never positives.
        crowd_labels: `[m]` int64: of what.
        difficult_boxes, difficult_labels: as `boxes` and `labels`: objects that are too small, or
            of which too little is in the image, for their corners to be learnt.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    image_id: int
    path: str
    crowd_boxes: np.ndarray = field(default_factory=_no_boxes)
    crowd_labels: np.ndarray = field(default_factory=_no_labels)
    difficult_boxes: np.ndarray = field(default_factory=_no_boxes)
    difficult_labels: np.ndarray = field(default_factory=_no_labels)


@dataclass
class Batch:
    """Pictures of one size and their objects.

    Args:
        images: `[N, 3, H, W]` RGB in 0..255, float32 or uint8.
        boxes: N times `[n, 4]` float32, pixels of `images`.
        labels: N times `[n]` int64.
        paths: where each picture was read, for messages.
        crowd_boxes, crowd_labels: as boxes and labels, of regions that hold a crowd, on the CPU;
            may be empty lists where there is none in any image.
        difficult_boxes, difficult_labels: as boxes and labels; see `Sample`. May be empty lists.
    """

    images: Tensor
    boxes: list[Tensor]
    labels: list[Tensor]
    paths: list[str]
    crowd_boxes: list[Tensor] = field(default_factory=list)
    crowd_labels: list[Tensor] = field(default_factory=list)
    difficult_boxes: list[Tensor] = field(default_factory=list)
    difficult_labels: list[Tensor] = field(default_factory=list)

    def split(self, number: int) -> list[Batch]:
        """The same pictures in batches of at most `number`."""
        starts = range(0, len(self.paths), number)
        return [
            Batch(*(getattr(self, item.name)[start : start + number] for item in fields(self)))
            for start in starts
        ]

    def to(self, device: torch.device) -> Batch:
        """The same batch with images and objects on `device`.

        Crowd regions stay where they are: targets are drawn by their coordinates, for which the
        host would have to wait if they were on the device.
        """
        names = ("boxes", "labels", "difficult_boxes", "difficult_labels")
        objects = {name: [item.to(device) for item in getattr(self, name)] for name in names}
        return replace(self, images=self.images.to(device), **objects)


class Features(NamedTuple):
    """What a backbone computes in one stack.

    Attributes:
        map: `[N, C, h, w]`: the feature map, at the finest resolution.
        levels: what an hourglass's skip path and its coarser resolutions add up to, at as many of
            the finest resolutions as the heads read, the coarsest first; each side is half of the
            next one's, rounded up.
    """

    map: Tensor
    levels: tuple[Tensor, ...] = ()


class Keypoints(NamedTuple):
    """Points that decoding finds in a batch beside boxes, best first.

    Attributes:
        points: `[N, K, 2]` float32: x, y in pixels.
        scores: `[N, K]` float32 in 0..1.
        labels: `[N, K]` int64; -1 where there is no point.
    """

    points: Tensor
    scores: Tensor
    labels: Tensor


class Candidates(NamedTuple):
    """Boxes that decoding proposes for a batch, before non-maximum suppression.

    Attributes:
        boxes: `[N, P, 4]` float32: x1, y1, x2, y2 in pixels.
        scores: `[N, P]` float32 in 0..1; -1 where there is no candidate.
        labels: `[N, P]` int64, 0..K-1; -1 where there is no candidate.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class OfView(NamedTuple):
    """What decoding finds in one view of each image of a batch.

    Attributes:
        candidates: boxes.
        keypoints: of each part that gives some, by its name.
    """

    candidates: Candidates
    keypoints: dict[str, Keypoints]


class Locations(NamedTuple):
    """Places in a network's input that deserve a closer look.

    Attributes:
        scores: `[N, L]` float32 in 0..1; 0 where there is nothing to see.
        points: `[L, 2]` float64: y, x in pixels of the input, on the host.
        zooms: `[L]` float64: by how much to enlarge the input there, on the host.
    """

    scores: Tensor
    points: np.ndarray
    zooms: np.ndarray


@dataclass
class Detections:
    """Objects found in one picture, best first.

    Args:
        boxes: `[n, 4]` float32: x1, y1, x2, y2 in pixels of the original picture.
        scores: `[n]` float32 in 0..1.
        labels: `[n]` int64, 0..K-1.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, index: Tensor) -> Detections:
        """The detections that an index or a mask chooses."""
        return Detections(self.boxes[index], self.scores[index], self.labels[index])


DEFAULT_SCORE_THRESHOLD = 0.3
"""The lowest score of a detection that is shown, for weights without a threshold of their own."""


@dataclass(frozen=True)
class Thresholds:
    """Scores from which the detections of a network are worth showing.

    Each is where F1, at an overlap of 0.5, was highest on the split that the network was validated
    on.

    Attributes:
        overall: for all classes, 0..1; None where it is not known.
        by_class: class name → the same of this class alone, where the split holds enough of it.
    """

    overall: float | None = None
    by_class: Mapping[str, float] = field(default_factory=dict)

    @property
    def score(self) -> float:
        """The threshold to use for all classes, known or not."""
        return DEFAULT_SCORE_THRESHOLD if self.overall is None else self.overall


NO_THRESHOLDS = Thresholds()
"""Those of weights that do not hold any."""
