"""From pictures to detections: views of a picture, the network, and joining what it finds."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cornernet.config import Config, TestConfig
from cornernet.data.augment import resize, scaled_size
from cornernet.data.images import IMAGE_SUFFIXES
from cornernet.decode import decode
from cornernet.device import autocast
from cornernet.errors import UserError
from cornernet.model.detector import CornerDetector
from cornernet.nms import soft_nms
from cornernet.structures import Detections


@dataclass(frozen=True)
class View:
    """How one input of the network was made from a picture, for the way back."""

    size: tuple[int, int]
    """Height and width of the original picture."""
    scale: tuple[float, float]
    """Factors in x and y from the original to the view."""
    origin: tuple[int, int]
    """x and y of the picture's corner on the canvas, pixels."""
    flipped: bool

    def to_original(self, boxes: Tensor) -> Tensor:
        """Boxes [n, 4] on the canvas to pixels of the original picture, clipped to it."""
        height, width = self.size
        origin = boxes.new_tensor(self.origin).repeat(2)
        boxes = (boxes - origin) / boxes.new_tensor(self.scale).repeat(2)
        limits = boxes.new_tensor([width, height]).repeat(2)
        boxes = torch.minimum(boxes.clamp_min(0), limits)
        if self.flipped:
            boxes = torch.stack(
                [width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1
            )
        return boxes


def make_view(
    image: np.ndarray, config: Config, scale: float = 1.0, flipped: bool = False
) -> tuple[np.ndarray, View]:
    """Resize, mirror, and centre a picture on a canvas of one colour.

    The canvas has sides of one less than a multiple of `test.pad_multiple`, so that halving them,
    rounding up, meets no odd side before the coarsest resolution, as in training.

    Args:
        image: [H, W, 3] RGB uint8.
        config: `data.long_side`, `test.pad_multiple` and the canvas's colour are used.
        scale: further factor on the size.
        flipped: mirror left and right.

    Returns:
        canvas: [H', W', 3] float32.
        view: the geometry.
    """
    height, width = image.shape[:2]
    if config.data.long_side:
        scale *= config.data.long_side / max(height, width)
    new_height, new_width = scaled_size((height, width), scale)
    if (new_height, new_width) != (height, width):
        image = resize(image, (new_height, new_width))
    if flipped:
        image = image[:, ::-1]
    multiple = config.test.pad_multiple
    canvas_height, canvas_width = (
        (side // multiple + 1) * multiple - 1 if multiple > 1 else side
        for side in (new_height, new_width)
    )
    top, left = canvas_height // 2 - new_height // 2, canvas_width // 2 - new_width // 2
    canvas = np.empty((canvas_height, canvas_width, 3), np.float32)
    canvas[:] = config.model.canvas_color
    canvas[top : top + new_height, left : left + new_width] = image
    factors = (new_width / width, new_height / height)
    return canvas, View((height, width), factors, (left, top), flipped)


def suppress(candidates: Detections, config: TestConfig) -> Detections:
    """Non-maximum suppression, the score threshold and the limit per picture."""
    keep, scores = soft_nms(
        candidates.boxes,
        candidates.scores,
        candidates.labels,
        method=config.nms,
        iou_threshold=config.nms_iou,
        sigma=config.nms_sigma,
        min_score=max(config.nms_min_score, config.score_threshold),
        max_detections=config.max_per_image,
    )
    return Detections(candidates.boxes[keep], scores, candidates.labels[keep])


@torch.no_grad()
def detect(
    model: CornerDetector, images: Sequence[np.ndarray], config: Config, precision: str = "fp32"
) -> list[Detections]:
    """Find objects in pictures of one size.

    The candidates of all views (`test.scales`, `test.flip`) are joined as `test.tta_merge` says.

    Args:
        model: in evaluation mode, on any device.
        images: [H, W, 3] RGB uint8 each, all of one size.
        config: sections data and test, and the canvas's colour.
        precision: of the forward pass: fp32, bf16 or fp16.

    Returns:
        Detections per picture, on the CPU, in its own pixels.
    """
    device = model.pixel_mean.device
    found: list[list[Detections]] = [[] for _ in images]
    mirrored = (False, True) if config.test.flip else (False,)
    for scale in config.test.scales:
        # Mirrored and plain views have one size and go through the network together.
        views = [
            (number, *make_view(image, config, scale, flipped))
            for flipped in mirrored
            for number, image in enumerate(images)
        ]
        pixels = torch.from_numpy(np.stack([canvas for _, canvas, _ in views]))
        pixels = pixels.to(device).permute(0, 3, 1, 2)
        with autocast(device, precision):
            outputs = model(pixels)[-1]
        boxes, scores, labels = decode(outputs, config.test, (pixels.shape[2], pixels.shape[3]))
        for (number, _, view), box, score, label in zip(
            views, boxes.cpu(), scores.cpu(), labels.cpu(), strict=True
        ):
            box = view.to_original(box)
            good = (label >= 0) & (box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1])
            found[number].append(Detections(box[good], score[good], label[good]))
    return [merge(views, config.test) for views in found]


def merge(views: Sequence[Detections], config: TestConfig) -> Detections:
    """Candidates of a picture's views, in its pixels, to its detections; see `test.tta_merge`."""
    if config.tta_merge == "mmdet3" and len(views) > 1:
        views = [suppress(view, config) for view in views]
    joint = Detections(
        torch.cat([view.boxes for view in views]),
        torch.cat([view.scores for view in views]),
        torch.cat([view.labels for view in views]),
    )
    return suppress(joint, config)


def expand_sources(sources: Sequence[str]) -> Iterator[Path]:
    """Pictures named by files, folders (not their subfolders) and glob patterns, in order.

    Raises:
        UserError: a source names nothing, or a folder holds no picture.
    """
    for source in sources:
        path = Path(source)
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
            if not found:
                raise UserError(
                    f"{source}: expected pictures ({', '.join(sorted(IMAGE_SUFFIXES))}) in this "
                    "folder, found none; name another folder, a file or a pattern"
                )
            yield from found
        elif path.is_file():
            yield path
        else:
            matches = sorted(Path(match) for match in glob.glob(source, recursive=True))
            matches = [match for match in matches if match.is_file()]
            if not matches:
                raise UserError(
                    f"{source}: expected a picture, a folder or a pattern, found nothing of that "
                    "name; check the path"
                )
            yield from matches
