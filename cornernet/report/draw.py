"""Pictures for people: detections drawn, contact sheets, training curves."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cornernet.data.images import write_image
from cornernet.structures import Detections


def class_color(label: int) -> tuple[int, int, int]:
    """A bright RGB colour for a class; neighbouring classes differ clearly."""
    hue = (0.58 + label * 0.618034) % 1.0  # the golden ratio spreads hues evenly
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 1.0 if label % 2 == 0 else 0.8)
    return round(red * 255), round(green * 255), round(blue * 255)


@lru_cache
def _font(size: int) -> Any:
    import matplotlib
    from PIL import ImageFont

    # Matplotlib ships this font, so it is on every host; it knows the alphabets of Europe and more.
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), size)


def draw_detections(
    image: np.ndarray, detections: Detections, classes: Sequence[str], zoom: float = 1.0
) -> np.ndarray:
    """A copy of a picture with boxes, class names and scores.

    Args:
        image: [H, W, 3] RGB uint8.
        detections: in its pixels; scores of 1 or more, as for ground truth, are not written.
        classes: names by label.
        zoom: factor on the picture's size before drawing, so that text fits small pictures.
    """
    from PIL import Image, ImageDraw

    picture = Image.fromarray(image)
    if zoom != 1.0:
        size = (round(picture.width * zoom), round(picture.height * zoom))
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    line = max(1, round(max(picture.size) / 320))
    font = _font(max(10, round(max(picture.size) / 45)))
    # Best last, so that it lies on top.
    for box, score, label in reversed(
        list(
            zip(
                (detections.boxes * zoom).tolist(),
                detections.scores.tolist(),
                detections.labels.tolist(),
                strict=True,
            )
        )
    ):
        color = class_color(label)
        draw.rectangle(box, outline=color, width=line)
        text = classes[label] if score >= 1 else f"{classes[label]} {score:.2f}"
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        width, height = right - left + 4, bottom - top + 4
        x = min(max(0, box[0]), max(0, picture.width - width))
        y = box[1] - height if box[1] >= height else box[1]
        draw.rectangle((x, y, x + width, y + height), fill=color)
        dark = sum(color) < 420
        draw.text((x + 2 - left, y + 2 - top), text, fill="white" if dark else "black", font=font)
    return np.asarray(picture)


def thumbnail(image: np.ndarray, side: int) -> np.ndarray:
    """A picture, [H, W, 3] RGB uint8, shrunk to fit a square; smaller ones stay as they are."""
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((side, side))
    return np.asarray(picture)


def save_sheet(
    pictures: Sequence[tuple[str, np.ndarray]], path: Path, columns: int = 4, cell: int = 320
) -> None:
    """Write pictures with captions side by side.

    Args:
        pictures: caption and [H, W, 3] RGB uint8 each.
        path: a picture file.
        columns: pictures in a row.
        cell: width and height in pixels in which each picture is fitted.
    """
    from PIL import Image, ImageDraw

    margin, caption = 6, 20
    thumbnails = [Image.fromarray(thumbnail(image, cell)) for _, image in pictures]
    columns = max(1, min(columns, len(pictures)))
    starts = range(0, len(pictures), columns)
    heights = [max(item.height for item in thumbnails[i : i + columns]) for i in starts]
    size = (columns * (cell + margin) + margin, sum(heights) + len(heights) * (caption + margin))
    sheet = Image.new("RGB", (size[0], size[1] + margin), "white")
    draw = ImageDraw.Draw(sheet)
    y = margin
    for start, height in zip(starts, heights, strict=True):
        for column, item in enumerate(thumbnails[start : start + columns]):
            x = margin + column * (cell + margin)
            draw.text((x, y), pictures[start + column][0], fill="black", font=_font(13))
            sheet.paste(item, (x, y + caption))
        y += height + caption + margin
    write_image(path, np.asarray(sheet))


def save_curves(records: Sequence[dict[str, Any]], path: Path) -> None:
    """Losses, AP and learning rate of a run over epochs.

    Args:
        records: the lines of metrics.jsonl.
        path: a PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    train = [record for record in records if record["kind"] == "train"]
    val = [record for record in records if record["kind"] == "val"]
    figure = Figure(figsize=(11, 4), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for key in [key for key in train[0] if key.startswith("loss/")] if train else []:
        name = key.removeprefix("loss/")
        left.plot(
            [record["epoch"] for record in train],
            [record[key] for record in train],
            label=name,
            linewidth=1.8 if name == "total" else 1.0,
        )
    left.set(xlabel="epoch", ylabel="loss", yscale="log", title="training losses")
    rate = left.twinx()
    rate.plot(
        [record["epoch"] for record in train],
        [record["learning_rate"] for record in train],
        color="0.7",
        linestyle=":",
    )
    rate.set_ylabel("learning rate (dotted)", color="0.5")
    if train:
        left.legend()
    for name in ("AP", "AP50", "AP75"):
        right.plot(
            [record["epoch"] for record in val],
            [record[name] for record in val],
            marker="o",
            markersize=3,
            label=name,
        )
    right.set(xlabel="epoch", ylim=(0, 1), title="validation")
    right.grid(alpha=0.3)
    if val:
        right.legend()
    # Through write_image, so that a reader never sees half a picture.
    canvas.draw()
    write_image(path, np.asarray(canvas.buffer_rgba())[..., :3].copy())
