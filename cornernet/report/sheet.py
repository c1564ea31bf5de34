"""Contact sheets: images with captions, side by side."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cornernet.data.images import write_image
from cornernet.report.draw import font
from cornernet.runtime.text import shown


def thumbnail(image: np.ndarray, side: int) -> np.ndarray:
    """An image, [H, W, 3] RGB uint8, shrunk to fit a square; smaller ones stay as they are."""
    from PIL import Image

    small = Image.fromarray(image)
    small.thumbnail((side, side))
    return np.asarray(small)


def data_uri(image: np.ndarray) -> str:
    """An image, [H, W, 3] RGB uint8, as a JPEG that stands in an HTML page."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def save_sheet(
    images: Sequence[tuple[str, np.ndarray]], path: Path, columns: int = 4, cell: int = 320
) -> None:
    """Write images with captions side by side.

    Args:
        images: caption and [H, W, 3] RGB uint8 each.
        path: an image file.
        columns: images in a row.
        cell: width and height in pixels in which each image is fitted.
    """
    from PIL import Image, ImageDraw

    margin, caption = 6, 20
    thumbnails = [Image.fromarray(thumbnail(image, cell)) for _, image in images]
    columns = max(1, min(columns, len(images)))
    starts = range(0, len(images), columns)
    heights = [max(item.height for item in thumbnails[i : i + columns]) for i in starts]
    size = (columns * (cell + margin) + margin, sum(heights) + len(heights) * (caption + margin))
    sheet = Image.new("RGB", (size[0], size[1] + margin), "white")
    draw = ImageDraw.Draw(sheet)
    y = margin
    for start, height in zip(starts, heights, strict=True):
        for column, item in enumerate(thumbnails[start : start + columns]):
            x = margin + column * (cell + margin)
            draw.text((x, y), shown(images[start + column][0]), fill="black", font=font(13))
            sheet.paste(item, (x, y + caption))
        y += height + caption + margin
    write_image(path, np.asarray(sheet))
