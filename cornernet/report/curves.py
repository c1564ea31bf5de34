"""Curves of a run: losses, learning rate and AP over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cornernet.data.images import write_image
from cornernet.runtime.text import shown


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
    _write(canvas, path)


def save_comparison(curves: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Curves of several runs.

    Args:
        curves: by title, then by run's name: epochs and values; None where there is no number.
        path: a PNG file.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context({"text.parse_math": False}):  # names may hold dollars
        figure = Figure(figsize=(11, 3.6 * ((len(curves) + 1) // 2)), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        places = figure.subplots((len(curves) + 1) // 2, 2, squeeze=False).flat
        for axes, (title, lines) in zip(places, curves.items(), strict=False):
            for name, (x, y) in lines.items():
                values = [np.nan if value is None else value for value in y]
                axes.plot(x, values, label=legend_label(name), marker="o" if len(x) < 2 else None)
            axes.set(xlabel="epoch", title=title)
            axes.grid(alpha=0.3)
            if lines:
                axes.legend()
        _write(canvas, path)


def legend_label(name: str) -> str:
    """A name for a legend; Matplotlib leaves out what begins with an underscore."""
    name = shown(name)
    return f"\u200a{name}" if name.startswith("_") else name


def _write(canvas: Any, path: Path) -> None:
    # Through write_image, so that a reader never sees half an image.
    canvas.draw()
    write_image(path, np.asarray(canvas.buffer_rgba())[..., :3].copy())
