"""Curves of a run: losses, learning rate and AP over epochs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cornernet.data.images import write_image


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
    # Through write_image, so that a reader never sees half an image.
    canvas.draw()
    write_image(path, np.asarray(canvas.buffer_rgba())[..., :3].copy())
