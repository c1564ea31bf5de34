"""What a run of the benchmarks says: tables, a picture, a JSON file."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import cornernet_ops
from cornernet.runtime.device import describe
from cornernet.runtime.files import replacing

from .measure import FLOOR, OP, Result, geometric_mean


def machine(device: torch.device) -> dict[str, Any]:
    """What the times depend on beside the code."""
    return {
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": str(device),
        "device_name": describe(device.type),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "ops": cornernet_ops.backends(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or "unknown"


def others(results: Sequence[Result]) -> list[str]:
    """Names of all contenders beside the op and the floor, in the order of their appearance."""
    names = (name for result in results for name in result.times)
    return [name for name in dict.fromkeys(names) if name not in (OP, FLOOR)]


def summaries(results: Sequence[Result]) -> Iterator[tuple[str, int, dict[str, float]]]:
    """For each part of an op and each number of threads: geometric means of its ratios."""
    for part, threads in dict.fromkeys((r.part, r.threads) for r in results):
        group = [r for r in results if (r.part, r.threads) == (part, threads)]
        ratios = {FLOOR: [r.floors for r in group]}
        ratios |= {name: [r.faster_than(name) for r in group] for name in others(group)}
        known = {name: [v for v in values if v is not None] for name, values in ratios.items()}
        yield part, threads, {name: geometric_mean(v) for name, v in known.items() if v}


def print_table(results: Sequence[Result], console: Console) -> None:
    """One op's results, a row each, with their geometric means below."""
    peers = others(results)
    table = Table(title=results[0].op, title_justify="left", title_style="bold")
    for heading in ("part", "variant", "setting"):
        table.add_column(heading, no_wrap=True)
    rate = "pictures/s" if results[0].pictures else "GB/s"
    headings = ("threads", "ms", "quartiles", rate, "× floor", *(f"{p} / op" for p in peers))
    for heading in headings:
        table.add_column(heading, justify="right")

    def ratio(value: float | None) -> str:
        return "" if value is None else f"{value:.3g}" if value >= 10 else f"{value:.2f}"

    for r in results:
        t = r.times[OP]
        table.add_row(
            r.part,
            r.variant,
            r.setting,
            str(r.threads),
            f"{t.median * 1e3:.3f}",
            f"{t.lower * 1e3:.3f}–{t.upper * 1e3:.3f}",
            f"{r.rate:.3g}",
            ratio(r.floors),
            *(ratio(r.faster_than(peer)) for peer in peers),
        )
    table.add_section()
    for part, threads, means in summaries(results):
        cells = [ratio(means.get(name)) for name in (FLOOR, *peers)]
        table.add_row(part, "", "geometric mean", str(threads), "", "", "", *cells, style="bold")
    console.print(table)


def save_json(results: Sequence[Result], device: torch.device, path: Path) -> None:
    content = {"machine": machine(device), "results": [asdict(r) for r in results]}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def save_plot(results: Sequence[Result], device: torch.device, path: Path) -> None:
    """Bars: the time of each contender in floors, or in times of the op where there is no floor.

    Settings (dtypes, layouts, sizes) are joined by their geometric mean; of the numbers of threads
    the largest is shown.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    threads = max(r.threads for r in results)
    shown = [r for r in results if r.threads == threads]
    ops = list(dict.fromkeys(r.op for r in shown))
    panels = []
    for op in ops:
        mine = [r for r in shown if r.op == op]
        rows = list(dict.fromkeys((r.part, r.variant) for r in mine))
        panels.append((op, mine, rows, [OP, *others(mine)]))
    heights = [0.8 + 0.2 * len(rows) * len(names) for _, _, rows, names in panels]
    figure = Figure(figsize=(9, 1 + sum(heights)), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (op, mine, rows, names) in zip(axes, panels, strict=True):
        unit = FLOOR if all(FLOOR in r.times for r in mine) else OP
        for i, name in enumerate(names):
            ys, widths = [], []
            for y, row in enumerate(rows):
                ratios = [
                    r.times[name].median / r.times[unit].median
                    for r in mine
                    if (r.part, r.variant) == row and name in r.times
                ]
                if ratios:
                    ys.append(y + (i + 0.5) / len(names) * 0.8 - 0.4)
                    widths.append(geometric_mean(ratios))
            bars = axis.barh(ys, widths, height=0.8 / len(names), label=name)
            axis.bar_label(bars, fmt="%.3g", padding=2, fontsize=7)
        axis.axvline(1, color="0.3", linewidth=0.8, linestyle="--")
        axis.set_xscale("log")
        axis.margins(x=0.12)
        axis.set_yticks(range(len(rows)), [" ".join(filter(None, row)) for row in rows], fontsize=8)
        axis.invert_yaxis()
        axis.set_title(op, loc="left", fontsize=10)
        what = "reading and writing the same bytes" if unit == FLOOR else "the op"
        axis.set_xlabel(f"time, in times of {what}", fontsize=8)
        axis.legend(fontsize=7, loc="best")
    about = machine(device)
    figure.suptitle(
        f"{about['processor']}, {about['device']}, {threads} threads, torch {about['torch']}",
        fontsize=9,
    )
    with replacing(path) as temporary:
        # The format is said because the temporary name does not end in it.
        canvas.print_figure(temporary, format="png", dpi=120)
