"""Views of an image: how the network sees it, and the way back to its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cornernet.config import Config
from cornernet.data.augment import resize, scaled_size

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class View:
    """One image at one scale, ready to be put on a canvas.

    Attributes:
        pixels: `[h, w, 3]` RGB uint8, resized.
        size: of the original image.
        canvas: size of the canvas.
        scale: factors in x and y from the original image to the view.
        origin: x and y of the view's corner on the canvas, pixels.
    """

    pixels: np.ndarray
    size: Size
    canvas: Size
    scale: tuple[float, float]
    origin: tuple[int, int]


def canvas_size(size: Size, multiple: int) -> Size:
    """Size of the canvas for a view: sides of one less than a multiple of a number of pixels.

    Halving them, rounding up, then meets no odd side before the coarsest resolution, as in
    training. For a multiple of 1 the canvas is the view.
    """
    if multiple == 1:
        return size
    return (size[0] // multiple + 1) * multiple - 1, (size[1] // multiple + 1) * multiple - 1


def view_size(size: Size, config: Config, scale: float) -> Size:
    """Size to which an image is resized for a scale, by `data.long_side` and the scale."""
    if config.data.long_side:
        scale *= config.data.long_side / max(size)
    return scaled_size(size, scale)


def pad_multiple(config: Config, size_multiple: int) -> int:
    """The multiple that canvases go by: `test.pad_multiple`, or the network's where that is 0."""
    return config.test.pad_multiple or size_multiple


@dataclass(frozen=True)
class Prepared:
    """An image as read, and resized to the scales at which the network looks at it.

    Attributes:
        image: `[H, W, 3]` RGB uint8.
        views: one for each of `test.scales`.
    """

    image: np.ndarray
    views: list[View]

    @property
    def sizes(self) -> list[Size]:
        """Of the canvas of each scale; where they are equal, images can run together."""
        return [view.canvas for view in self.views]

    @property
    def pixels(self) -> int:
        """Of the image and of all views."""
        return (self.image.size + sum(view.pixels.size for view in self.views)) // 3


def prepare(image: np.ndarray, config: Config, size_multiple: int) -> Prepared:
    """Resize an image to all scales that `test.scales` asks for.

    Args:
        image: [H, W, 3] RGB uint8.
        config: `data.long_side`, `test.scales` and `test.pad_multiple` are used.
        size_multiple: what the network's canvases go by unless `test.pad_multiple` says otherwise.
    """
    size = (image.shape[0], image.shape[1])
    multiple = pad_multiple(config, size_multiple)
    return Prepared(image, [_view(image, size, config, s, multiple) for s in config.test.scales])


def _view(image: np.ndarray, size: Size, config: Config, scale: float, multiple: int) -> View:
    resized = view_size(size, config, scale)
    canvas = canvas_size(resized, multiple)
    return View(
        pixels=image if resized == size else resize(image, resized),
        size=size,
        canvas=canvas,
        scale=(resized[1] / size[1], resized[0] / size[0]),
        origin=(canvas[1] // 2 - resized[1] // 2, canvas[0] // 2 - resized[0] // 2),
    )


def place(
    views: Sequence[View],
    color: tuple[float, float, float],
    device: torch.device,
    mirrored: bool = False,
) -> Tensor:
    """Send views of one canvas size to a device and put them on canvases of one colour there.

    Args:
        views: N of them, at least one.
        color: RGB around the views, 0..255.
        device: where the canvases are made; pixels travel there as uint8.
        mirrored: also make the mirror images, left and right swapped.

    Returns:
        [N, 3, H, W] float32 in 0..255, NHWC in memory; with mirror images [2 * N, 3, H, W], the
        mirror images first.
    """
    height, width = views[0].canvas
    copies = 2 if mirrored else 1
    canvases = torch.empty((copies, len(views), height, width, 3), device=device)
    canvases[:] = torch.tensor(color, dtype=torch.float32).to(device)
    for index, view in enumerate(views):
        pixels = torch.from_numpy(np.ascontiguousarray(view.pixels)).to(device)
        left, top = view.origin
        rows, columns = slice(top, top + pixels.shape[0]), slice(left, left + pixels.shape[1])
        canvases[-1, index, rows, columns] = pixels
        if mirrored:
            canvases[0, index, rows, columns] = pixels.flip(1)
    return canvases.flatten(0, 1).permute(0, 3, 1, 2)


def geometry_of(views: Sequence[View], device: torch.device | str = "cpu") -> Tensor:
    """Where views lie, for `to_original`: [N, 8] float32 on a device.

    These are x and y of the view's corner on its canvas, the factors in x and y from the original
    image to the view, width and height of the original image, and those of the view.
    """
    rows = [(*v.origin, *v.scale, *v.size[::-1], *v.pixels.shape[1::-1]) for v in views]
    return torch.tensor(rows, dtype=torch.float32).to(device)


def to_original(boxes: Tensor, geometry: Tensor, mirrored: bool = False) -> Tensor:
    """Boxes on canvases to pixels of the original images, clipped to these.

    Args:
        boxes: [N, P, 4] float32: x1, y1, x2, y2 in pixels of the canvas; [2 * N, P, 4] with those
            of the mirror images first.
        geometry: of the N views that `place` has put on the canvases; see `geometry_of`.
        mirrored: whether there are mirror images.
    """
    copies = 2 if mirrored else 1
    rows = geometry[:, :6].repeat(copies, 1)[:, None]
    origin, scale, limits = (pair.repeat(1, 1, 2) for pair in rows.chunk(3, dim=2))
    boxes = torch.minimum(((boxes - origin) / scale).clamp_min(0), limits)
    if not mirrored:
        return boxes
    flipped, plain = boxes.unflatten(0, (2, -1)).unbind(0)
    width = geometry[:, None, 4]
    x1, y1, x2, y2 = flipped.unbind(2)
    return torch.cat([torch.stack([width - x2, y1, width - x1, y2], 2), plain])


def reaches_outside(boxes: Tensor, geometry: Tensor, margin: float) -> Tensor:
    """Which boxes on canvases reach so many pixels or more beyond their view, bool.

    Args:
        boxes: [N, P, 4] or, with mirror images, [2 * N, P, 4]; see `to_original`.
        geometry: of N views; see `geometry_of`.
        margin: in pixels of the canvas.
    """
    rows = geometry.repeat(boxes.shape[0] // geometry.shape[0], 1)[:, None]
    inside = boxes - rows[..., :2].repeat(1, 1, 2)
    beyond = torch.cat([-inside[..., :2], inside[..., 2:] - rows[..., 6:]], 2)
    return (beyond >= margin).any(2)
