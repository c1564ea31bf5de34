"""Several runs side by side: tables, curves, a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cornernet.report import figures
from cornernet.report.page import fill, safe

Row = list[str]
Curve = tuple[list[float], list[float | None]]


@dataclass(frozen=True)
class Comparison:
    """Runs side by side; each row has one text for each run.

    Attributes:
        names: of the runs, all different.
        results: by name of a result.
        settings: by dotted name, where not all runs have the same.
        classes: AP by class name.
        curves: by title, then by run's name: epochs and values.
        notes: sentences on what is missing.
    """

    names: list[str]
    results: Mapping[str, Row]
    settings: Mapping[str, Row]
    classes: Mapping[str, Row]
    curves: Mapping[str, Mapping[str, Curve]]
    notes: Sequence[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        return asdict(self)


def render_comparison(comparison: Comparison) -> str:
    """A page that needs nothing else."""
    drawn = [
        figures.lines(title, "epoch", lines, log="loss" in title, unit="AP" in title)
        for title, lines in comparison.curves.items()
        if lines
    ]
    return fill("comparison.html", vars(comparison) | {"curves": safe(drawn)})
