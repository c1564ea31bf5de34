"""Figures of a report as SVG, to stand in an HTML page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cornernet.report.curves import legend_label
from cornernet.runtime.text import shown

# Up to this many classes each has a colour and a place in the legend.
MOST_COLORS = 10
# Up to this many rows a matrix has its numbers written in.
_MOST_NUMBERS = 12
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "cornernet",  # the same figure is the same text
    "text.parse_math": False,  # a class name may hold dollars
    "font.family": "sans-serif",
    "font.sans-serif": ["system-ui", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa3ad",
    "axes.labelcolor": "#444c56",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e8ebef",
    "grid.linewidth": 0.8,
    "xtick.color": "#57606a",
    "ytick.color": "#57606a",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
}
_GREY = "#c3cad2"


def figure(draw: Callable[[Any], None], width: float = 5.2, height: float = 3.4) -> str:
    """A figure as an SVG element.

    Args:
        draw: gets the axes.
        width, height: in inches, in which text has 10 points; the page scales it.
    """
    import logging

    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # Which fonts there are is the browser's business.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    buffer = io.StringIO()
    with rc_context(_STYLE):
        made = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(made)
        draw(made.subplots())
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        made.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    text = buffer.getvalue()
    start = text.index("<svg")
    end = text.index(">", start)
    tag = re.sub(r' (width|height)="[^"]*"', "", text[start:end])
    # The page decides the size, up to a third more than the figure's own.
    return f'{tag} style="max-width: {width * 96 * 4 / 3:.0f}px"{text[end:]}'


def lines(
    title: str,
    x_label: str,
    series: Mapping[str, tuple[Sequence[float], Sequence[float | None]]],
    *,
    log: bool = False,
    unit: bool = False,
    mark: tuple[float, float] | None = None,
    dots: bool = False,
) -> str:
    """Lines over a common axis.

    Args:
        title: of the figure.
        x_label: what the axis is.
        series: by name, x and y; None where there is no number.
        log: a logarithmic y axis.
        unit: y from 0 to 1.
        mark: a point to mark.
        dots: mark each point of the lines.
    """

    def draw(axes: Any) -> None:
        from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

        for name, (x, y) in series.items():
            values = [np.nan if value is None else value for value in y]
            width = 2.2 if name in ("total", "AP") else None
            marker = "o" if dots else None
            axes.plot(
                x, values, label=legend_label(name), linewidth=width, marker=marker, markersize=3
            )
        positive = [value for _, y in series.values() for value in y if value and value > 0]
        if log and positive:
            axes.set_yscale("log")
            plain = FuncFormatter(lambda value, _: f"{value:g}")
            narrow = max(positive) < 10 * min(positive)
            axes.yaxis.set_major_formatter(plain)
            axes.yaxis.set_minor_formatter(plain if narrow else NullFormatter())
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if unit:
            axes.set_ylim(0, 1)
        if mark is not None:
            axes.plot(*mark, marker="o", markersize=9, markerfacecolor="none", color="#d1242f")
        axes.set(xlabel=x_label, title=title)
        if len(series) > 1:
            axes.legend(ncols=2)

    return figure(draw)


def class_curves(
    title: str,
    x_label: str,
    x: Sequence[float],
    by_class: Mapping[str, Sequence[float]],
    whole: tuple[str, Sequence[float]],
    mark: float | None = None,
) -> str:
    """A curve of each class from 0 to 1, and one of all.

    Args:
        title: of the figure.
        x_label: what the axis is.
        x: the same for all curves.
        by_class: values by class name; empty where there are none.
        whole: name and values of the curve of all classes.
        mark: where to draw a vertical line.
    """
    filled = {name: values for name, values in by_class.items() if len(values)}

    def draw(axes: Any) -> None:
        few = len(filled) <= MOST_COLORS
        for name, values in filled.items() if len(filled) > 1 else ():
            color = None if few else _GREY
            axes.plot(
                x, values, color=color, linewidth=1.0, label=legend_label(name) if few else None
            )
        if len(whole[1]):
            axes.plot(x, whole[1], color="#1f2328", linewidth=2.4, label=whole[0])
        if mark is not None:
            axes.axvline(mark, color="#d1242f", linewidth=1.2, linestyle="--")
        axes.set(xlabel=x_label, title=title, xlim=(0, 1), ylim=(0, 1.02))
        if axes.lines and few:
            axes.legend(fontsize=8)

    return figure(draw)


def matrix(title: str, table: np.ndarray, names: Sequence[str]) -> str:
    """Counts with true classes as rows and found ones as columns; colours are shares of rows.

    Args:
        title: of the figure.
        table: `[n, n]` of counts.
        names: of its rows and columns.
    """
    total = table.sum(1, keepdims=True)
    shares = np.divide(table, total, out=np.zeros(table.shape), where=total > 0)
    short = [_shortened(shown(name)) for name in names]
    size = min(12.0, max(3.6, 1.6 + 0.42 * len(names)))

    def draw(axes: Any) -> None:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.grid(False)
        places = range(len(names))
        small = 9 if len(names) <= 2 * _MOST_NUMBERS else max(3.5, 9 * 26 / len(names))
        axes.set_xticks(places, short, rotation=90 if len(names) > 3 else 0, fontsize=small)
        axes.set_yticks(places, short, fontsize=small)
        axes.set(xlabel="found", ylabel="true", title=title)
        if len(names) > _MOST_NUMBERS + 1:
            return
        for row in places:
            for column in places:
                if table[row, column]:
                    axes.text(
                        column, row, str(int(table[row, column])), ha="center", va="center",
                        fontsize=9, color="white" if shares[row, column] > 0.5 else "#1f2328",
                    )  # fmt: skip

    return figure(draw, size, size)


def calibration(bins: Sequence[Mapping[str, float]]) -> str:
    """The share of detections that is right, by score, beside what a calibrated score would be.

    Args:
        bins: `number`, `score` and `right` of equal parts of the scores from 0 to 1.
    """
    width = 1 / len(bins)

    def draw(axes: Any) -> None:
        left = np.arange(len(bins)) * width
        right = [item["right"] if item["number"] else 0 for item in bins]
        axes.bar(left, right, width * 0.92, align="edge", color="#7fb2e5", label="share right")
        used = [item for item in bins if item["number"]]
        axes.plot([0, 1], [0, 1], color="#57606a", linewidth=1, linestyle="--", label="calibrated")
        axes.plot(
            [item["score"] for item in used], [item["right"] for item in used],
            color="#1f2328", marker="o", markersize=4, linewidth=0,
        )  # fmt: skip
        axes.set(xlabel="score", xlim=(0, 1), ylim=(0, 1.02), title="Share of detections right")
        axes.legend()

    return figure(draw)


def _shortened(name: str, length: int = 18) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
