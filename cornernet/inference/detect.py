"""From images to detections: the network on all views of a batch, decoding, joining."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cornernet.config import Config, TestConfig
from cornernet.inference import two_pass
from cornernet.inference.graph import GraphDetector, unresized
from cornernet.inference.memory import within_memory
from cornernet.inference.merge import merge
from cornernet.inference.views import (
    Prepared,
    View,
    geometry_of,
    place,
    prepare,
    reaches_outside,
    to_original,
)
from cornernet.model.fuse import FusedDetector
from cornernet.structures import Candidates, Detections, Keypoints, OfView

Network = FusedDetector | GraphDetector
"""What detects: a network in torch, or an exported graph."""


def detect(model: Network, images: Sequence[np.ndarray], config: Config) -> list[Detections]:
    """Find objects in images whose canvases are of one size, such as images of one size.

    The candidates of all views (`test.scales`, `test.flip`) are joined as `test.tta_merge` says.

    Args:
        model: on any device.
        images: [H, W, 3] RGB uint8 each.
        config: sections data and test, and the canvas's colour.

    Returns:
        Detections per image, on the CPU, in its own pixels.

    Raises:
        OutOfMemory: the device has too little memory for so many images of this size.
    """
    prepared = [prepare_for(model, image, config) for image in images]
    return detect_prepared(model, prepared, config)


def prepare_for(model: Network, image: np.ndarray, config: Config) -> Prepared:
    """`prepare` an image for a network, or check that a graph, which prepares it itself, takes it.

    Raises:
        WrongSize: a graph does not take it.
    """
    if isinstance(model, GraphDetector):
        model.check_size(image)
    return prepare(image, seen_by(model, config), model.size_multiple)


def seen_by(model: Network, config: Config) -> Config:
    """The settings by which views of images are made: a graph is given the images themselves."""
    return unresized(config) if isinstance(model, GraphDetector) else config


@torch.no_grad()
def detect_prepared(model: Network, images: Sequence[Prepared], config: Config) -> list[Detections]:
    """As `detect`, of images that have been prepared.

    The host waits for the device once, for at most `test.max_per_image` boxes per image; once more
    where the network looks twice, to learn where.
    """
    if isinstance(model, GraphDetector):
        return model.detect([image.image for image in images])
    if model.locates:
        whole = [image.views[0] for image in images]
        seen = two_pass.look_twice(model, whole, config)
        joint = merge(model.confirm(seen, config.test), config.test)
        return to_host(two_pass.clip(joint, whole))
    found: list[OfView] = []
    for scale in range(len(config.test.scales)):
        found += _of_one_scale(model, [image.views[scale] for image in images], config)
    return to_host(merge(model.confirm(found, config.test), config.test))


def _of_one_scale(model: FusedDetector, views: Sequence[View], config: Config) -> list[OfView]:
    """Candidates of one view each of a batch, in pixels of the original images.

    Mirror images go through the network together with the plain ones. In the order of candidates
    they come first, as in MMDetection, where that order can matter.
    """
    height, width = views[0].canvas
    number = len(views) * (2 if config.test.flip else 1)
    advice = "lower test.batch_size, test.scales or data.long_side"
    with within_memory(model, number, (height, width), advice):
        canvases = place(views, config.model.canvas_color, model.device, config.test.flip)
        maps, size = model(canvases), (height, width)
        found = OfView(
            model.decode(maps, config.test, size), model.keypoints(maps, config.test, size)
        )
        return of_images(found, geometry_of(views, model.device), config.test)


def of_images(found: OfView, geometry: Tensor, config: TestConfig) -> list[OfView]:
    """What was found on canvases in pixels of the images; boxes are clipped, empty ones left out.

    Args:
        found: on the canvases of N views, in pixels of these: with `test.flip` of 2 * N, the mirror
            images first.
        geometry: of the N views; see `geometry_of`.
        config: whether there are mirror images, and which boxes reach too far beyond their view.

    Returns:
        With `test.flip` what was found in the mirror images, then in the images; N rows each.
    """
    candidates, copies = found.candidates, 2 if config.flip else 1
    boxes = to_original(candidates.boxes, geometry, config.flip)
    kept = (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])
    if config.max_outside:
        kept &= ~reaches_outside(candidates.boxes, geometry, config.max_outside)
    labels = torch.where(kept, candidates.labels, -1)
    parts = [_by_copy(tensor, copies) for tensor in (boxes, candidates.scores, labels)]
    results = [OfView(Candidates(*tensors), {}) for tensors in zip(*parts, strict=True)]
    for name, (points, scores, classes) in found.keypoints.items():
        places = to_original(points.repeat(1, 1, 2), geometry, config.flip)[..., :2]
        parts = [_by_copy(tensor, copies) for tensor in (places, scores, classes)]
        for result, tensors in zip(results, zip(*parts, strict=True), strict=True):
            result.keypoints[name] = Keypoints(*tensors)
    return results


def _by_copy(tensor: Tensor, copies: int) -> tuple[Tensor, ...]:
    """The rows of mirror images and of images; not by `split`, which ONNX has for lists alone."""
    return tensor.unflatten(0, (copies, -1)).unbind(0)


def to_host(found: Candidates) -> list[Detections]:
    """Detections of each image on the CPU, by one transfer."""
    # Labels are small whole numbers, which float32 holds exactly.
    labels = found.labels.to(found.scores.dtype)
    packed = torch.cat([found.boxes, torch.stack([found.scores, labels], 2)], 2)
    return [_unpacked(rows) for rows in packed.cpu()]


def _unpacked(rows: Tensor) -> Detections:
    """From rows of [x1, y1, x2, y2, score, label], of which those with label -1 are empty."""
    rows = rows[rows[:, 5] >= 0]
    return Detections(rows[:, :4], rows[:, 4], rows[:, 5].long())
