"""Runs compared with each other: what was set otherwise, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cornernet.config import settings
from cornernet.errors import UserError
from cornernet.report.comparison import Comparison, Curve
from cornernet.runtime.text import shown_metric
from cornernet.train.lock import is_held
from cornernet.train.run_report import RunFiles, read_run, run_status

_METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR100")
_MISSING = "–"


def compare_runs(paths: Sequence[str | Path]) -> Comparison:
    """Compare runs, finished or not.

    Args:
        paths: their directories.

    Raises:
        UserError: there are fewer than two different ones, or one is no run.
    """
    resolved = [Path(path).resolve() for path in paths]
    if len(set(resolved)) < max(2, len(paths)):
        raise UserError(
            f"must be two or more different runs, got {', '.join(map(str, paths))}", field="runs"
        )
    runs = [read_run(path) for path in paths]
    names = [path.name for path in resolved]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    notes = [f"{name}: {note}" for name, run in zip(names, runs, strict=True) for note in run.notes]
    curves: dict[str, dict[str, Curve]] = {
        "AP of validation": _curves(names, runs, "val", "AP"),
        "AP50 of validation": _curves(names, runs, "val", "AP50"),
        "Training loss": _curves(names, runs, "train", "loss/total"),
        "Learning rate": _curves(names, runs, "train", "learning_rate"),
    }
    return Comparison(names, _results(runs), _settings(runs), _classes(runs), curves, notes)


def _settings(runs: Sequence[RunFiles]) -> dict[str, list[str]]:
    """The settings that not all runs share."""
    known = [run.config for run in runs]
    rows = {"recipe": ["?" if config is None else config.recipe for config in known]}
    for setting in settings().values():
        rows[setting.name] = [
            "?" if config is None else str(getattr(getattr(config, setting.section), setting.key))
            for config in known
        ]
    return {
        name: values
        for name, values in rows.items()
        if len({value for value in values if value != "?"}) > 1
    }


def _results(runs: Sequence[RunFiles]) -> dict[str, list[str]]:
    columns = [_result(run) for run in runs]
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: [column.get(name, _MISSING) for column in columns] for name in names}


def _result(run: RunFiles) -> dict[str, str]:
    """What came of a run, by name, as far as it is logged."""
    train = [record for record in run.records if record["kind"] == "train"]
    val = [record for record in run.records if record["kind"] == "val"]
    held = is_held(run.directory.lock)
    result = {"state": run_status(run.config, run.records, held).word}
    if val:
        best = max(val, key=lambda record: record["AP"])
        result |= {name: shown_metric(best[name]) for name in _METRICS if name in best}
        result["best epoch"] = f"{best['epoch']:g}"
    if run.review is not None:
        result["F1"] = shown_metric(run.review["at_threshold"]["f1"])
        result["threshold"] = f"{run.review['threshold']:.3g}"
    if run.records:
        total = "?" if run.config is None else run.config.train.epochs
        result["epochs"] = f"{run.records[-1]['epoch']:g} of {total}"
    if train:
        result["last loss"] = _number(train[-1].get("loss/total"))
        speeds = [r["images_per_second"] for r in train if r.get("images_per_second")]
        result["images/s"] = f"{np.median(speeds):.1f}" if speeds else _MISSING
        peaks = [r["peak_memory_gib"] for r in train if r.get("peak_memory_gib")]
        result["peak memory"] = f"{max(peaks):.2f} GiB" if peaks else _MISSING
    return result


def _number(value: float | None) -> str:
    return _MISSING if value is None else f"{value:.4g}"


def _classes(runs: Sequence[RunFiles]) -> dict[str, list[str]]:
    """AP of each class that a run has."""
    columns: list[Mapping[str, Any]] = [
        {} if run.review is None else {row["name"]: row["metrics"] for row in run.review["classes"]}
        for run in runs
    ]
    names = dict.fromkeys(name for column in columns for name in column)
    return {
        name: [
            shown_metric(column[name].get("AP", -1)) if name in column else _MISSING
            for column in columns
        ]
        for name in names
    }


def _curves(
    names: Sequence[str], runs: Sequence[RunFiles], kind: str, key: str
) -> dict[str, Curve]:
    """A value over epochs, by run; -1, which stands for none, is left out."""
    found: dict[str, Curve] = {}
    for name, run in zip(names, runs, strict=True):
        lines = [r for r in run.records if r["kind"] == kind and r.get(key, -1) != -1]
        if lines:
            found[name] = ([r["epoch"] for r in lines], [r[key] for r in lines])
    return found
