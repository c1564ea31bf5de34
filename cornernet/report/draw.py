"""Detections drawn into images."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cornernet.runtime.text import shown
from cornernet.structures import Detections

Color = tuple[int, int, int]


def class_color(label: int) -> Color:
    """A bright RGB colour for a class; neighbouring classes differ clearly."""
    hue = (0.58 + label * 0.618034) % 1.0  # the golden ratio spreads hues evenly
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 1.0 if label % 2 == 0 else 0.8)
    return round(red * 255), round(green * 255), round(blue * 255)


@lru_cache
def font(size: int) -> Any:
    import matplotlib
    from PIL import ImageFont

    # Matplotlib ships this font, so it is on every host; it knows the alphabets of Europe and more.
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), size)


def draw_detections(
    image: np.ndarray,
    detections: Detections,
    classes: Sequence[str],
    zoom: float = 1.0,
    colors: Sequence[Color] | None = None,
) -> np.ndarray:
    """A copy of an image with boxes, class names and scores.

    Args:
        image: [H, W, 3] RGB uint8.
        detections: in its pixels; scores of 1 or more, as for ground truth, are not written.
        classes: names by label.
        zoom: factor on the image's size before drawing, so that text fits small images.
        colors: of each detection; None gives each class its own.
    """
    from PIL import Image, ImageDraw

    drawn = Image.fromarray(image)
    if zoom != 1.0:
        size = (round(drawn.width * zoom), round(drawn.height * zoom))
        drawn = drawn.resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(drawn)
    line = max(1, round(max(drawn.size) / 320))
    text_font = font(max(10, round(max(drawn.size) / 45)))
    # Best last, so that it lies on top.
    labels = detections.labels.tolist()
    if colors is None:
        colors = [class_color(label) for label in labels]
    columns = ((detections.boxes * zoom).tolist(), detections.scores.tolist(), labels, colors)
    for box, score, label, color in reversed(list(zip(*columns, strict=True))):
        draw.rectangle(box, outline=color, width=line)
        name = shown(classes[label])
        text = name if score >= 1 else f"{name} {score:.2f}"
        left, top, right, bottom = draw.textbbox((0, 0), text, font=text_font)
        width, height = right - left + 4, bottom - top + 4
        x = min(max(0, box[0]), max(0, drawn.width - width))
        y = box[1] - height if box[1] >= height else box[1]
        draw.rectangle((x, y, x + width, y + height), fill=color)
        dark = sum(color) < 420
        draw.text(
            (x + 2 - left, y + 2 - top), text, fill="white" if dark else "black", font=text_font
        )
    return np.asarray(drawn)
