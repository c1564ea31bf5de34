"""Heat-maps drawn over an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cornernet.report.draw import font

_COLORS = ((255, 40, 40), (60, 110, 255), (40, 220, 60), (255, 200, 0), (230, 60, 230))
_OPACITY = 0.9


def draw_heat_maps(image: np.ndarray, maps: Mapping[str, Sequence[np.ndarray]]) -> np.ndarray:
    """A copy of an image with maps over it, each in a colour of its own, and their names.

    Cells are drawn with hard edges, as large as they are in the image.

    Args:
        image: [H, W, 3] RGB uint8.
        maps: name → maps of any sizes, [h, w] in 0..1, of which the highest value counts.
    """
    from PIL import Image, ImageDraw

    height, width = image.shape[:2]
    drawn = image.astype(np.float32)
    for place, levels in enumerate(maps.values()):
        opacity = np.zeros((height, width), np.float32)
        for level in levels:
            rows = np.arange(height) * level.shape[0] // height
            columns = np.arange(width) * level.shape[1] // width
            np.maximum(opacity, level[np.ix_(rows, columns)], out=opacity)
        opacity = opacity[..., None] * _OPACITY
        drawn += opacity * (np.array(_color(place), np.float32) - drawn)
    canvas = Image.fromarray(drawn.round().astype(np.uint8))
    draw = ImageDraw.Draw(canvas)
    text_font = font(max(10, round(height / 28)))
    y = 2.0
    for place, name in enumerate(maps):
        box = draw.textbbox((3, y), name, font=text_font)
        draw.rectangle((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1), fill="black")
        draw.text((3, y), name, fill=_color(place), font=text_font)
        y = box[3] + 3
    return np.asarray(canvas)


def _color(place: int) -> tuple[int, int, int]:
    return _COLORS[place % len(_COLORS)]
