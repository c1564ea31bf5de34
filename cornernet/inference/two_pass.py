"""Detection in two passes: the whole image in small, then crops of what was seen there.

Law et al., "CornerNet-Lite: Efficient Keypoint Based Object Detection", BMVC 2020, section 3. For
networks with a part that finds places to look at; see `Part.locates`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cornernet.config import Config
from cornernet.inference.crops import Crops, crops_at, cut, to_image
from cornernet.inference.memory import within_memory
from cornernet.inference.places import best_places, places_from_boxes, places_from_views
from cornernet.inference.views import Size, View
from cornernet.model.fuse import FusedDetector
from cornernet.structures import Candidates, Locations


def find_candidates(
    model: FusedDetector, views: Sequence[View], config: Config
) -> list[Candidates]:
    """Candidates of both passes over a batch, in pixels of the original images.

    The first pass sees every image in `test.view_sizes`, the second the places that attention and
    the boxes of the first pass point at. The host waits for the device once, to learn these places.

    Args:
        model: a network that `locates`.
        views: one of each image, at the size at which `data.long_side` has it.
        config: sections test and data, and the canvas's colour.

    Returns:
        Candidates [N, P] of the N images; with `test.flip` those of the mirror images come first.
        Of each image those of the first pass come first. Boxes may leave their images.
    """
    images = _on_device(views, model.device, config.test.flip)
    sizes = [(len(view.pixels), view.pixels.shape[1]) for view in views]
    sizes *= 2 if config.test.flip else 1
    first, crops = _first_pass(model, images, sizes, config)
    second = _second_pass(model, images, crops, config)
    joint = Candidates(*(torch.cat(pair, 1) for pair in zip(first, second, strict=True)))
    return _to_originals(joint, views, config.test.flip)


def _on_device(views: Sequence[View], device: torch.device, mirrored: bool) -> Tensor:
    """Images in the upper left of [N, 3, H, W] uint8; mirror images, where wanted, come first."""
    height = max(view.pixels.shape[0] for view in views)
    width = max(view.pixels.shape[1] for view in views)
    copies = 2 if mirrored else 1
    images = torch.zeros(copies, len(views), height, width, 3, dtype=torch.uint8, device=device)
    for index, view in enumerate(views):
        pixels = torch.from_numpy(np.ascontiguousarray(view.pixels)).to(device)
        rows, columns = pixels.shape[:2]
        images[-1, index, :rows, :columns] = pixels
        if mirrored:
            images[0, index, :rows, :columns] = pixels.flip(1)
    return images.flatten(0, 1).permute(0, 3, 1, 2)


def _first_pass(
    model: FusedDetector, images: Tensor, sizes: Sequence[Size], config: Config
) -> tuple[Candidates, Crops]:
    """What is found in the whole images, [N, P], and the crops to look at then."""
    test, side = config.test, config.augment.crop_size
    crops = Crops.joined(
        [
            crops_at(index, size, *_whole(size, test.view_sizes), side)
            for index, size in enumerate(sizes)
        ]
    )
    with within_memory(model, len(crops), (side, side), "lower test.batch_size"):
        maps = model(cut(images, crops, side, config.model.canvas_color))
        boxes, scores, labels = to_image(model.decode(maps, test, (side, side)), crops)
        labels = torch.where(scores > test.first_score, labels, -1)
        found = Candidates(boxes, scores, labels)
        locations = model.locations(maps, test)
        # The one wait for the device: how many crops there are, only the host can act on.
        packed = torch.cat(
            [boxes.flatten(1), scores.where(labels >= 0, -1), locations.scores], 1
        ).cpu()
    number, pairs = len(test.view_sizes), scores.shape[1]
    by_image = packed.numpy().reshape(len(sizes), number, -1)
    chosen = []
    for index, (size, values) in enumerate(zip(sizes, by_image, strict=True)):
        views = crops[slice(index * number, (index + 1) * number)]
        places = _places(values, pairs, locations, views, size, config)
        crop = crops_at(index, size, places[:, :2], places[:, 2], side)
        chosen.append(crop[crop.visible])
    joint = Candidates(*(value.reshape(len(sizes), -1, *value.shape[2:]) for value in found))
    return joint, Crops.joined(chosen)


def _whole(size: Size, view_sizes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Middle and zooms, in float32 as in the original, of views of a whole image."""
    zooms = (np.array(view_sizes) / max(size)).astype(np.float32)
    return np.tile(np.array(size) // 2, (len(view_sizes), 1)), zooms


def _places(
    values: np.ndarray,
    pairs: int,
    locations: Locations,
    views: Crops,
    size: Size,
    config: Config,
) -> np.ndarray:
    """The places to look at in one image.

    Args:
        values: [V, 5 * pairs + L]: boxes, their scores and the scores of locations in its views.
        pairs: number of boxes in a view.
        locations: where locations lie in a view.
        views: V of them.
        size: height and width of the image in pixels.
        config: which places are chosen.
    """
    boxes, scores, found = np.split(values, [4 * pairs, 5 * pairs], axis=1)
    seen = places_from_views(
        found, locations.points, locations.zooms, views.zooms, views.origins, size
    )
    sure = boxes.reshape(-1, 4)[scores.ravel() > config.test.box_location_score]
    around = places_from_boxes(sure, config.model.object_sizes, config.test.zoom_sizes)
    return best_places(np.concatenate([seen, around]), config.test)


def _second_pass(model: FusedDetector, images: Tensor, crops: Crops, config: Config) -> Candidates:
    """What is found in crops, as many candidates for each image as the one with most crops has."""
    test, side = config.test, config.augment.crop_size
    numbers = np.bincount(crops.image, minlength=len(images))
    slots = int(numbers.max())
    shape = (len(images) * slots, test.max_pairs)
    boxes = torch.zeros(*shape, 4, device=images.device)
    scores = torch.full(shape, -1.0, device=images.device)
    labels = torch.full(shape, -1, dtype=torch.int64, device=images.device)
    rank = np.arange(len(crops)) - np.repeat(numbers.cumsum() - numbers, numbers)
    place = torch.from_numpy(crops.image * slots + rank).to(images.device)
    joint = Candidates(boxes, scores, labels)
    for start in range(0, len(crops), test.crop_batch):
        chunk = slice(start, start + test.crop_batch)
        some = crops[chunk]
        with within_memory(model, len(some), (side, side), "lower test.crop_batch"):
            maps = model(cut(images, some, side, config.model.canvas_color), locate=False)
            found = to_image(model.decode(maps, test, (side, side)), some)
        for values, part in zip(joint, found, strict=True):
            values.index_copy_(0, place[chunk], part)
    by_image = (len(images), slots * test.max_pairs)
    return Candidates(boxes.view(*by_image, 4), scores.view(by_image), labels.view(by_image))


def _to_originals(found: Candidates, views: Sequence[View], mirrored: bool) -> list[Candidates]:
    """Boxes in pixels of the images as they were looked at, to pixels of the original ones."""
    copies = 2 if mirrored else 1
    rows = [(*view.scale, *view.scale) for view in views] * copies
    widths = [view.pixels.shape[1] for view in views] * copies
    geometry = torch.tensor([(*row, width) for row, width in zip(rows, widths, strict=True)])
    scale, width = geometry.float().to(found.boxes.device)[:, None].split([4, 1], dim=2)
    boxes = found.boxes
    if mirrored:
        x1, y1, x2, y2 = boxes.unbind(2)
        flipped = torch.stack([width[..., 0] - x2, y1, width[..., 0] - x1, y2], 2)
        boxes = torch.cat([flipped[: len(views)], boxes[len(views) :]])
    joint = found._replace(boxes=boxes / scale)
    parts = [value.split(len(views)) for value in joint]
    return [Candidates(*values) for values in zip(*parts, strict=True)]


def clip(found: Candidates, views: Sequence[View]) -> Candidates:
    """Boxes clipped to their original images; what has no area there is no detection.

    After suppression, as candidates of CornerNet-Saccade are compared as they were found.
    """
    sizes = [(*view.size[::-1], *view.size[::-1]) for view in views]
    limits = torch.tensor(sizes, dtype=torch.float32).to(found.boxes.device)[:, None]
    boxes = torch.minimum(found.boxes.clamp_min(0), limits)
    solid = (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])
    return Candidates(boxes, found.scores, torch.where(solid, found.labels, -1))
