"""Square crops of images: how the network sees a place, and the way back to the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cornernet_ops import crop_resize


@dataclass(frozen=True)
class Crops:
    """R squares to be cut out of images and resized to one size; everything is on the host.

    Attributes:
        image: `[R]` int64: the image of each.
        sources: `[R, 4]` int64: x0, y0, x1, y1 of what lies in the image, pixels of the image.
        targets: `[R, 4]` int64: where that goes, pixels of the crop.
        origins: `[R, 2]` float32: x, y of the crop's corner in the image, which may lie outside.
        zooms: `[R]` float32: pixels of the crop per pixel of the image.
    """

    image: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    origins: np.ndarray
    zooms: np.ndarray

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, rows: slice | np.ndarray) -> Crops:
        return Crops(*(value[rows] for value in vars(self).values()))

    @property
    def visible(self) -> np.ndarray:
        """`[R]` bool: whether some of the image lies in each."""
        return np.all(
            [
                box[:, axis + 2] > box[:, axis]
                for box in (self.sources, self.targets)
                for axis in (0, 1)
            ],
            axis=0,
        )

    @classmethod
    def joined(cls, crops: list[Crops]) -> Crops:
        """Several as one."""
        columns = zip(*(vars(one).values() for one in crops), strict=True)
        return cls(*(np.concatenate(values) for values in columns))


def crops_at(
    image: int, size: tuple[int, int], points: np.ndarray, zooms: np.ndarray, side: int
) -> Crops:
    """Crops around places of an image, as CornerNet-Saccade cuts them.

    Args:
        image: its index.
        size: its height and width in pixels.
        points: [R, 2]: y, x in pixels of the image.
        zooms: [R], float32 or float64: pixels of the crop per pixel of the image. Rounding of the
            square's side follows its dtype.
        side: of the crops in pixels.
    """
    extents = (side / zooms).astype(np.int64)[:, None]
    centers = points.astype(np.int64)
    begins = np.maximum(centers - extents // 2, 0)
    ends = np.minimum(centers + extents // 2, size)
    scales = side / np.maximum(extents, 1)
    before = ((centers - begins) * scales).astype(np.int64)  # truncated, like the originals' int()
    behind = ((ends - centers) * scales).astype(np.int64)
    origins = centers - extents // 2
    return Crops(
        np.full(len(points), image, np.int64),
        np.concatenate([begins[:, ::-1], ends[:, ::-1]], 1),
        np.concatenate([side // 2 - before[:, ::-1], side // 2 + behind[:, ::-1]], 1),
        origins[:, ::-1].astype(np.float32),
        zooms.astype(np.float32),
    )


def cut(images: Tensor, crops: Crops, side: int, color: tuple[float, float, float]) -> Tensor:
    """Cut crops out of images on their device.

    Args:
        images: [N, 3, H, W] RGB uint8; each may be smaller than that and lie in the upper left.
        crops: R of them.
        side: of the crops in pixels.
        color: RGB around the images, 0..255.

    Returns:
        [R, 3, side, side] float32 in 0..255.
    """
    index, sources, targets = (
        torch.from_numpy(np.ascontiguousarray(value)).to(images.device)
        for value in (crops.image, crops.sources, crops.targets)
    )
    cropped = crop_resize(images, sources, targets, height=side, width=side, image_index=index)
    if not any(color):  # as the op fills it
        return cropped
    place = torch.arange(side, device=images.device)
    columns, rows = (
        (place >= targets[:, axis, None]) & (place < targets[:, axis + 2, None]) for axis in (0, 1)
    )
    fill = torch.tensor(color, dtype=torch.float32).to(images.device).view(3, 1, 1)
    return cropped.where((rows[:, :, None] & columns[:, None, :])[:, None], fill)


def to_image(places: Tensor, crops: Crops) -> Tensor:
    """Boxes or points in pixels of crops to pixels of their images, which they may leave.

    Args:
        places: [R, P, 4] or [R, P, 2] float32: x and y, alternating.
        crops: R of them.
    """
    origins = torch.from_numpy(np.tile(crops.origins, places.shape[2] // 2)).to(places.device)
    zooms = torch.from_numpy(crops.zooms).to(places.device)
    return places / zooms[:, None, None] + origins[:, None]
