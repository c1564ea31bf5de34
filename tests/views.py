"""Single views and single images, for tests of what works on batches."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from cornernet.config import Config
from cornernet.inference.detect import to_host
from cornernet.inference.views import Size, View, geometry_of, place, prepare, to_original
from cornernet.structures import Candidates, Detections

CPU = torch.device("cpu")


def make_view(
    image: np.ndarray, config: Config, scale: float = 1.0, flipped: bool = False
) -> tuple[np.ndarray, View]:
    """The canvas, [H, W, 3] float32, and the view of an image at one scale."""
    test = dataclasses.replace(config.test, scales=[scale])
    view = prepare(image, dataclasses.replace(config, test=test), size_multiple=128).views[0]
    canvases = place([view], config.model.canvas_color, CPU, mirrored=True)
    return canvases[0 if flipped else 1].permute(1, 2, 0).numpy().copy(), view


def view_at(size: Size, scale: tuple[float, float], origin: tuple[int, int]) -> View:
    """A view of which only the geometry matters."""
    return View(np.zeros((1, 1, 3), np.uint8), size, size, scale, origin)


def boxes_to_original(boxes: Tensor, view: View, flipped: bool = False) -> Tensor:
    """Boxes [n, 4] on the canvas of one view to pixels of the image."""
    if not flipped:
        return to_original(boxes[None], geometry_of([view]))[0]
    return to_original(torch.stack([boxes, boxes]), geometry_of([view]), mirrored=True)[0]


def candidates_of(detections: Detections) -> Candidates:
    """A batch of one image."""
    return Candidates(detections.boxes[None], detections.scores[None], detections.labels[None])


def detections_of(candidates: Candidates) -> Detections:
    """Those of the first image."""
    return to_host(candidates)[0]
