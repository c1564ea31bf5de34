"""Detection in two passes: the whole image in small, then crops of what was seen there.

Law et al., "CornerNet-Lite: Efficient Keypoint Based Object Detection", BMVC 2020, section 3. For
networks with a part that finds places to look at; see `Part.locates`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from cornernet.config import Config
from cornernet.inference.crops import Crops, crops_at, cut, to_image
from cornernet.inference.memory import within_memory
from cornernet.inference.places import best_places, places_from_boxes, places_from_views
from cornernet.inference.views import Size, View
from cornernet.model.detector import Maps
from cornernet.model.fuse import FusedDetector
from cornernet.structures import Candidates, Keypoints, Locations, OfView


def look_twice(model: FusedDetector, views: Sequence[View], config: Config) -> list[OfView]:
    """What both passes find in a batch, in pixels of the original images.

    The first pass sees every image in `test.view_sizes`, the second the places that attention and
    the boxes of the first pass point at. The host waits for the device once, to learn these places.

    Args:
        model: a network that `locates`.
        views: one of each image, at the size at which `data.long_side` has it.
        config: sections test and data, and the canvas's colour.

    Returns:
        What was found in the N images; with `test.flip` what was found in the mirror images comes
        first. In each row, what the first pass has found comes first. Boxes may leave their images.
    """
    images, first, crops = _first_pass(model, views, config)
    passes = [first]
    if len(crops):
        passes.append(_second_pass(model, images, crops, config))
    return _to_originals(_joined(passes, 1), views, config.test.flip)


def _joined(parts: Sequence[OfView], dim: int) -> OfView:
    """Several along a dimension: 0 for rows, 1 for what is found in each."""

    def joined(columns: Iterable[Sequence[Tensor]]) -> Iterator[Tensor]:
        return (torch.cat(list(tensors), dim) for tensors in zip(*columns, strict=True))

    names = parts[0].keypoints
    return OfView(
        Candidates(*joined(part.candidates for part in parts)),
        {name: Keypoints(*joined(part.keypoints[name] for part in parts)) for name in names},
    )


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
    model: FusedDetector, views: Sequence[View], config: Config
) -> tuple[Tensor, OfView, Crops]:
    """Images on the device, what is found in each as a whole, and the crops to look at then."""
    test, side = config.test, config.augment.crop_size
    sizes = [(len(view.pixels), view.pixels.shape[1]) for view in views]
    sizes *= 2 if test.flip else 1
    whole = Crops.joined(
        [
            crops_at(index, size, *_whole(size, test.view_sizes), side)
            for index, size in enumerate(sizes)
        ]
    )
    advice = "lower test.batch_size or data.long_side"
    with within_memory(model, len(whole), (side, side), advice):
        images = _on_device(views, model.device, test.flip)
        maps = model(cut(images, whole, side, config.model.canvas_color))
        found = _found(model, maps, whole, config)
        boxes, scores, labels = found.candidates
        labels = torch.where(scores > test.first_score, labels, -1)
        found = found._replace(candidates=Candidates(boxes, scores, labels))
        locations = model.locations(maps, test)
        # The one wait for the device: how many crops there are, only the host can act on.
        packed = torch.cat(
            [boxes.flatten(1), scores.where(labels >= 0, -1), locations.scores], 1
        ).cpu()
    number, pairs = len(test.view_sizes), scores.shape[1]
    table = packed.numpy().reshape(len(sizes), number, -1)
    chosen = []
    for index, (size, values) in enumerate(zip(sizes, table, strict=True)):
        of_image = whole[slice(index * number, (index + 1) * number)]
        places = _places(values, pairs, locations, of_image, size, config)
        crop = crops_at(index, size, places[:, :2], places[:, 2], side)
        chosen.append(crop[crop.visible])
    by_image = _map(found, lambda value, _: value.reshape(len(sizes), -1, *value.shape[2:]))
    return images, by_image, Crops.joined(chosen)


def _found(model: FusedDetector, maps: Maps, crops: Crops, config: Config) -> OfView:
    """What was found in crops, a row for each, in pixels of their images."""
    size = (config.augment.crop_size, config.augment.crop_size)
    candidates = model.decode(maps, config.test, size)
    points = model.keypoints(maps, config.test, size)
    return OfView(
        candidates._replace(boxes=to_image(candidates.boxes, crops)),
        {name: one._replace(points=to_image(one.points, crops)) for name, one in points.items()},
    )


def _map(found: OfView, function: Callable[[Tensor, float], Tensor]) -> OfView:
    """A function of each tensor and of what stands in it where nothing was found."""
    nothing = (0.0, -1.0, -1.0)

    def mapped(values: Candidates | Keypoints) -> Iterator[Tensor]:
        return (function(value, fill) for value, fill in zip(values, nothing, strict=True))

    points = {name: Keypoints(*mapped(one)) for name, one in found.keypoints.items()}
    return OfView(Candidates(*mapped(found.candidates)), points)


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


def _second_pass(model: FusedDetector, images: Tensor, crops: Crops, config: Config) -> OfView:
    """What is found in crops, a row for each image, as long as that with most crops needs."""
    test, side = config.test, config.augment.crop_size
    parts: list[OfView] = []
    for start in range(0, len(crops), test.crop_batch):
        some = crops[start : start + test.crop_batch]
        with within_memory(model, len(some), (side, side), "lower test.crop_batch"):
            maps = model(cut(images, some, side, config.model.canvas_color), locate=False)
            parts.append(_found(model, maps, some, config))
    numbers = np.bincount(crops.image, minlength=len(images))
    slots = int(numbers.max())
    rank = np.arange(len(crops)) - np.repeat(numbers.cumsum() - numbers, numbers)
    place = torch.from_numpy(crops.image * slots + rank).to(images.device)

    def by_image(value: Tensor, nothing: float) -> Tensor:
        rows = value.new_full((len(images) * slots, *value.shape[1:]), nothing)
        return rows.index_copy_(0, place, value).reshape(len(images), -1, *value.shape[2:])

    return _map(_joined(parts, 0), by_image)


def _to_originals(found: OfView, views: Sequence[View], mirrored: bool) -> list[OfView]:
    """From pixels of the images as they were looked at to pixels of the original ones."""
    number = len(views)
    rows = [(*view.scale, view.pixels.shape[1]) for view in views] * (2 if mirrored else 1)
    geometry = torch.tensor(rows, dtype=torch.float32).to(found.candidates.boxes.device)
    scale, width = geometry[:, None].split([2, 1], dim=2)

    def original(places: Tensor) -> Tensor:
        x, y = places[..., 0::2], places[..., 1::2]
        if mirrored:
            x = torch.cat([width[:number] - x[:number], x[number:]])
        return torch.stack([x / scale[..., :1], y / scale[..., 1:]], 3).flatten(2)

    boxes = original(found.candidates.boxes)
    if mirrored:  # the right corner is the left one of the mirror image
        boxes = torch.cat([boxes[:number, :, [2, 1, 0, 3]], boxes[number:]])
    points = {
        name: one._replace(points=original(one.points)) for name, one in found.keypoints.items()
    }
    found = OfView(found.candidates._replace(boxes=boxes), points)

    def part(start: int) -> OfView:
        return _map(found, lambda value, _: value[start : start + number])

    return [part(start) for start in range(0, len(rows), number)]


def clip(found: Candidates, views: Sequence[View]) -> Candidates:
    """Boxes clipped to their original images; what has no area there is no detection.

    After suppression, as candidates of CornerNet-Saccade are compared as they were found.
    """
    sizes = [(*view.size[::-1], *view.size[::-1]) for view in views]
    limits = torch.tensor(sizes, dtype=torch.float32).to(found.boxes.device)[:, None]
    boxes = torch.minimum(found.boxes.clamp_min(0), limits)
    solid = (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])
    return Candidates(boxes, found.scores, torch.where(solid, found.labels, -1))
