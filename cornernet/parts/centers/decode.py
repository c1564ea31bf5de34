"""What centres say about boxes that corners propose: `rescore` and `verify`."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from cornernet.config import TestConfig
from cornernet.parts.centers.structures import CenterMaps
from cornernet.structures import Candidates, Keypoints
from cornernet_ops import corner_peaks

# Boxes up to this many square pixels have a wider central region (CenterNet, section 3.1).
_SMALL_AREA = 150**2


@torch.no_grad()
def rescore(
    maps: CenterMaps, found: Candidates, config: TestConfig, image_size: tuple[int, int]
) -> Candidates:
    """Join the score of each box with that of a centre in its middle.

    Two corners of different objects make a box in whose middle nothing is (CenterNet, section 1).
    The centre's score is the largest probability of the box's class within one cell of the middle.
    With `test.center_weight` w the box scores the mean of its corners' score, which counts twice,
    and of the centre's, which counts w times; or their geometric mean, as `test.pair_score` says.

    Args:
        maps: of the last stack.
        found: boxes in pixels of the network's input.
        config: how scores are joined.
        image_size: height and width of the network's input in pixels.
    """
    height, width = maps.heat.shape[-2:]
    nearby = F.max_pool2d(maps.heat.float(), 3, stride=1, padding=1)
    x = (found.boxes[..., 0] + found.boxes[..., 2]) / 2 * (width / image_size[1])
    y = (found.boxes[..., 1] + found.boxes[..., 3]) / 2 * (height / image_size[0])
    column, row = x.long().clamp(0, width - 1), y.long().clamp(0, height - 1)
    index = (found.labels.clamp_min(0) * height + row) * width + column
    centers = nearby.flatten(1).gather(1, index).sigmoid()
    scores = _joined(found.scores, centers, config)
    return found._replace(scores=torch.where(found.labels < 0, found.scores, scores))


def _joined(corners: Tensor, centers: Tensor, config: TestConfig) -> Tensor:
    """Scores of boxes from their corners', which count twice, and their centres'."""
    weight = config.center_weight
    if config.pair_score == "geometric":
        tiny = torch.finfo(torch.float32).tiny
        logarithms = 2 * corners.clamp_min(tiny).log() + weight * centers.clamp_min(tiny).log()
        return (logarithms / (2 + weight)).exp()
    return (2 * corners + weight * centers) / (2 + weight)


@torch.no_grad()
def center_points(maps: CenterMaps, config: TestConfig, image_size: tuple[int, int]) -> Keypoints:
    """The best local maxima of the centres' heat-maps, `test.topk` of each image.

    Args:
        maps: of the last stack.
        config: how many, and how far apart.
        image_size: height and width of the network's input in pixels.
    """
    height, width = maps.heat.shape[-2:]
    scores, index = corner_peaks(maps.heat, config.topk, config.peak_kernel)
    cell = index.clamp_min(0) % (height * width)
    offset = maps.offset.float().flatten(2).gather(2, cell[:, None].expand(-1, 2, -1))
    # Numbers and not a tensor of them, which torch.export would keep as they are now.
    x = (cell % width + offset[:, 0]) * (image_size[1] / width)
    y = (cell // width + offset[:, 1]) * (image_size[0] / height)
    labels = torch.where(index < 0, -1, index // (height * width))
    return Keypoints(torch.stack([x, y], 2), scores.float().sigmoid(), labels)


def verify(found: Candidates, centers: Keypoints, config: TestConfig) -> Candidates:
    """Drop boxes without a centre of their class in their central region.

    The region is the middle third of a box in both directions, of a box larger than 150² pixels the
    middle fifth (CenterNet, section 3.1). The first centre inside counts; its score is joined with
    the box's as `rescore` does.

    Args:
        found: boxes, in pixels of the images.
        centers: of these images, in the same pixels.
        config: how scores are joined.
    """
    x1, y1, x2, y2 = found.boxes.unbind(2)
    parts = torch.where((x2 - x1) * (y2 - y1) <= _SMALL_AREA, 3.0, 5.0)
    near, far = (parts + 1) / (2 * parts), (parts - 1) / (2 * parts)
    x, y = centers.points[:, None].unbind(3)

    def between(low: Tensor, high: Tensor, value: Tensor) -> Tensor:  # [N, P, K]
        first, last = near * low + far * high, far * low + near * high
        return (first[..., None] < value) & (value < last[..., None])

    same_class = (found.labels[..., None] == centers.labels[:, None]) & (
        found.labels[..., None] >= 0
    )
    inside = between(x1, x2, x) & between(y1, y2, y) & same_class
    number = inside.shape[2]
    order = torch.arange(number, device=inside.device)
    first = torch.where(inside, order, number).amin(2)
    confirmed = first < number
    scores = centers.scores.gather(1, first.clamp_max(number - 1))
    return found._replace(
        scores=torch.where(confirmed, _joined(found.scores, scores, config), -1.0),
        labels=torch.where(confirmed, found.labels, -1),
    )


def verify_views(
    views: list[Candidates], keypoints: list[Keypoints], config: TestConfig
) -> list[Candidates]:
    """Verify the boxes of all views of an image by the centres of one scale, see `verify`.

    These are those of the image as it is or, without that among `test.scales`, of the scale that is
    nearest to it; centres of the image come before those of its mirror image.

    Args:
        views: of each scale: with `test.flip` those of the mirror images, then those of the images.
        keypoints: the centres of each view.
        config: which views there are.
    """
    per_scale = 2 if config.flip else 1
    nearest = min(range(len(config.scales)), key=lambda index: abs(math.log(config.scales[index])))
    chosen = keypoints[nearest * per_scale : (nearest + 1) * per_scale][::-1]
    centers = Keypoints(*(torch.cat(tensors, 1) for tensors in zip(*chosen, strict=True)))
    return [verify(view, centers, config) for view in views]
