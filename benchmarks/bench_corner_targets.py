"""corner_targets against a loop over boxes, and against filling its results with zeros."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from cornernet_ops import corner_targets, reference
from cornernet_ops.corner_targets import gaussian_radius
from cornernet_ops.testing import assert_close

from . import mmdetection
from .measure import Case

PIXELS = 511
CELLS = 128
OVERLAP = 0.3


def random_boxes(
    pictures: int, each: int, classes: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes of all sizes up to half a picture, labels, and the picture of each."""
    generator = torch.Generator().manual_seed(0)
    count = pictures * each
    centre = PIXELS * torch.rand(count, 2, generator=generator)
    half = PIXELS / 4 * torch.rand(count, 2, generator=generator)
    boxes = torch.cat([centre - half, centre + half], 1).clamp(0, PIXELS)
    labels = torch.randint(classes, (count,), generator=generator)
    images = torch.arange(pictures).repeat_interleave(each)
    return boxes.to(device), labels.to(device), images.to(device)


def zeros(pictures: int, classes: int, device: torch.device) -> list[Tensor]:
    channels = (classes, classes, 2, 2, 1, 1)
    return [torch.zeros(pictures, c, CELLS, CELLS, device=device) for c in channels]


def one_by_one(
    boxes: Tensor, labels: Tensor, images: Tensor, *, batch: int, num_classes: int, **_: Any
) -> list[Tensor]:
    """As MMDetection does it: box by box, corner by corner, numbers fetched from their tensors."""
    maps = zeros(batch, num_classes, boxes.device)
    cells: list[list[int]] = [[], []]
    for box, label, image in zip(boxes, labels, images, strict=True):
        scaled = box * (CELLS / PIXELS)
        width, height = (scaled[2:] - scaled[:2]).ceil().double()
        radius = max(0, int(gaussian_radius(height, width, OVERLAP)))
        steps = torch.arange(-radius, radius + 1, device=boxes.device).float()
        profile = (-(steps**2) / (2 * ((2 * radius + 1) / 6) ** 2)).exp()
        gaussian = profile[:, None] * profile
        for corner, point in enumerate((scaled[:2], scaled[2:])):
            x, y = (int(value.clamp(0, CELLS - 1)) for value in point)
            left, right = max(0, x - radius), min(CELLS, x + radius + 1)
            top, bottom = max(0, y - radius), min(CELLS, y + radius + 1)
            heat = maps[corner][int(image), int(label), top:bottom, left:right]
            part = gaussian[
                top - y + radius : bottom - y + radius, left - x + radius : right - x + radius
            ]
            torch.maximum(heat, part, out=heat)
            maps[2 + corner][int(image), 0, y, x] = point[0] - x
            maps[2 + corner][int(image), 1, y, x] = point[1] - y
            maps[4 + corner][int(image), 0, y, x] = 1
            cells[corner].append(y * CELLS + x)
    return [*maps, *(torch.tensor(found, device=boxes.device) for found in cells)]


def mmdetections(
    boxes: Tensor, labels: Tensor, images: Tensor, *, batch: int, num_classes: int, **_: Any
) -> list[Tensor]:
    """MMDetection's own, its maps in the order of ours; it has cells where we have masks too."""
    found = mmdetection.targets(
        [boxes[images == n] for n in range(batch)],
        [labels[images == n] for n in range(batch)],
        num_classes,
        CELLS,
        PIXELS,
    )
    names = ("topleft_heatmap", "bottomright_heatmap", "topleft_offset", "bottomright_offset")
    return [found[name] for name in names]


def same_maps(actual: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    """Equal but for rounding, as far as the other has them."""
    assert_close(tuple(actual[: len(expected)]), tuple(expected))


def cases(device: torch.device, full: bool) -> Iterator[Case]:
    settings = [(6, 20, 80)] + [(1, 20, 80), (6, 100, 80), (6, 20, 3)] * full
    for pictures, each, classes in settings:
        tensors = random_boxes(pictures, each, classes, device)
        numbers = {
            "batch": pictures,
            "num_classes": classes,
            "height": CELLS,
            "width": CELLS,
            "scale_y": CELLS / PIXELS,
            "scale_x": CELLS / PIXELS,
            "overlap": OVERLAP,
        }
        yield _case(f"{pictures} pictures, {each} boxes each, {classes} classes", tensors, numbers)


def _case(setting: str, tensors: tuple[Tensor, ...], numbers: dict[str, Any]) -> Case:
    batch, classes = numbers["batch"], numbers["num_classes"]
    others: dict[str, Callable[[], Sequence[Tensor]]] = {
        "reference": lambda: reference.corner_targets(*tensors, **numbers),
        "one by one": lambda: one_by_one(*tensors, **numbers),
    }
    if mmdetection.available():
        others["mmdetection"] = lambda: mmdetections(*tensors, **numbers)
    return Case(
        op="corner_targets",
        part="all maps",
        variant="",
        setting=setting,
        moved=4 * batch * (2 * classes + 6) * CELLS * CELLS,
        call=lambda: corner_targets(*tensors, **numbers),
        others=others,
        floor=lambda: zeros(batch, classes, tensors[0].device),
        same=same_maps,
    )
