"""A run's report as one HTML page that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import numpy as np

from cornernet.config import Config, settings
from cornernet.report import figures
from cornernet.runtime.text import shown, shown_metric

_METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
_CONFUSED = 10


@dataclass(frozen=True)
class Status:
    """How far a run is.

    Attributes:
        word: for a glance, such as "finished".
        sentence: more about it.
        finished: whether there is nothing to come.
    """

    word: str
    sentence: str
    finished: bool


@dataclass(frozen=True)
class WorstImage:
    """An image with many errors.

    Attributes:
        name: of its file.
        missed: number of objects that were not found.
        wrong: number of detections that are wrong.
        images: data URIs: with its objects, and with the detections; empty if it cannot be read.
        reason: why it cannot be read.
    """

    name: str
    missed: int
    wrong: int
    images: Sequence[str] = ()
    reason: str = ""


@dataclass(frozen=True)
class Report:
    """What a report is made from.

    Attributes:
        title: the run's name.
        about: a line on it.
        status: how far it is.
        config: its settings; None where they are not known.
        records: the lines of its log.
        review: of the evaluation of its best weights; see `inference.review`.
        worst: images of that evaluation.
        environments: what each part of it ran on.
        notes: sentences on what is missing.
    """

    title: str
    about: str
    status: Status
    config: Config | None
    records: Sequence[Mapping[str, Any]]
    review: Mapping[str, Any] | None
    worst: Sequence[WorstImage] = ()
    environments: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = field(default_factory=list)


def render(report: Report) -> str:
    """The page; text from data is escaped."""
    review = report.review
    made = {} if review is None else _review_figures(review)
    return fill(
        "report.html",
        vars(report)
        | {
            "tiles": _tiles(review, report.records),
            "threshold": "" if review is None else _threshold(review["threshold"]),
            "metric_names": _METRICS,
            "has_unstored": review is not None
            and any(row["best_threshold"] and not row["is_stored"] for row in review["classes"]),
            "curves": safe(_curves(report.records)),
            "figures": dict(zip(made, safe(list(made.values())), strict=True)),
            "confused": [] if review is None else _confused(review),
            "resources": _resources(report.records),
            "speed": safe(_speed(report.records)),
            "settings": [] if report.config is None else _settings(report.config),
        },
    )


def fill(template: str, values: Mapping[str, Any]) -> str:
    """A page made of one of the `templates`; text is escaped, but for what `safe` returns."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    directory = resources.files("cornernet.report").joinpath("templates")
    page = Environment(
        loader=FunctionLoader(lambda name: directory.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=lambda value: shown(value) if type(value) is str else value,
    )
    page.filters["rate"] = shown_metric
    page.filters["score"] = _threshold
    return page.get_template(template).render(values)


def safe(made: Sequence[str]) -> list[Any]:
    """Elements that `figures` has made, which are not escaped again."""
    from markupsafe import Markup

    return [Markup(text) for text in made]


def _threshold(value: float) -> str:
    return f"{value:.3g}"


def _tiles(
    review: Mapping[str, Any] | None, records: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """The numbers to see first, of the best evaluation."""
    evaluated = _of(records, "val")
    if review is None and not evaluated:
        return []
    best = max(evaluated, key=lambda r: r["AP"]) if review is None else review["metrics"]
    numbers = [(name, shown_metric(best[name])) for name in ("AP", "AP50", "AP75")]
    if review is None:
        return numbers
    numbers.append(("best threshold", _threshold(review["threshold"])))
    rates = review["at_threshold"]
    named = (("precision", "precision"), ("recall", "recall"), ("F1", "f1"))
    return numbers + [(name, shown_metric(rates[key])) for name, key in named]


def _of(records: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    return [record for record in records if record["kind"] == kind]


def _curves(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Losses, AP, learning rate and gradient over epochs, as far as they are logged."""
    train, val = _of(records, "train"), _of(records, "val")
    made = []
    if train:
        epochs = [record["epoch"] for record in train]
        names = [key for key in train[0] if key.startswith("loss/")]
        losses = {
            name.removeprefix("loss/"): (epochs, [record.get(name) for record in train])
            for name in names
        }
        made.append(figures.lines("Training losses", "epoch", losses, log=True))
    known = [record for record in val if record["AP"] >= 0]
    if known:
        best = max(known, key=lambda record: record["AP"])
        made.append(
            figures.lines(
                "Validation",
                "epoch",
                {
                    name: ([r["epoch"] for r in known], [r[name] for r in known])
                    for name in ("AP", "AP50", "AP75")
                },
                unit=True,
                mark=(best["epoch"], best["AP"]),
                dots=len(known) < 60,
            )
        )
    if train:
        for title, key, log in (
            ("Learning rate", "learning_rate", False),
            ("Gradient norm before clipping", "gradient_norm", True),
        ):
            values = [record.get(key) for record in train]
            if any(value is not None for value in values):
                made.append(figures.lines(title, "epoch", {key: (epochs, values)}, log=log))
    return made


def _speed(records: Sequence[Mapping[str, Any]]) -> list[str]:
    train = _of(records, "train")
    if len(train) < 2:
        return []
    epochs = [record["epoch"] for record in train]
    return [
        figures.lines(title, "epoch", {key: (epochs, [record.get(key) for record in train])})
        for title, key in (
            ("Images per second", "images_per_second"),
            ("Share of time waiting for data", "data_wait_share"),
        )
    ]


def _resources(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Speed and memory in a few numbers."""
    train, val = _of(records, "train"), _of(records, "val")
    found = []
    speeds = [r["images_per_second"] for r in train if r.get("images_per_second")]
    if speeds:
        found.append(("images per second, median", f"{np.median(speeds):.1f}"))
    waits = [r["data_wait_share"] for r in train if r.get("data_wait_share") is not None]
    if waits:
        found.append(("share of time waiting for data", f"{100 * np.mean(waits):.0f}%"))
    peaks = [r["peak_memory_gib"] for r in train if r.get("peak_memory_gib")]
    if peaks:
        found.append(("peak memory", f"{max(peaks):.2f} GiB"))
    seconds = [r["seconds"] for r in val if r.get("seconds")]
    if seconds:
        found.append(("seconds of a validation, median", f"{np.median(seconds):.1f}"))
    if train:
        found.append(("steps", str(train[-1]["step"])))
    return found


def _review_figures(review: Mapping[str, Any]) -> dict[str, str]:
    classes = review["classes"]
    axis = np.linspace(0, 1, 101).tolist()
    precisions = {row["name"]: row["precision"] for row in classes}
    filled = [values for values in precisions.values() if values]
    mean = np.mean(filled, axis=0).tolist() if filled else []
    names = [row["name"] for row in classes]
    return {
        "precision": figures.class_curves(
            "Precision", "recall", axis, precisions, ("mean of the classes", mean)
        ),
        "f1": figures.class_curves(
            "F1", "score from which detections count", axis,
            {row["name"]: row["f1"] for row in classes},
            ("all classes", review["f1"]), None if review["threshold_is_default"]
            else review["threshold"],
        ),
        "confusion": figures.matrix(
            "Objects", np.array(review["confusion"]), [*names, "nothing"]
        ),
        "calibration": figures.calibration(review["calibration"]["bins"]),
    }  # fmt: skip


def _confused(review: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """The pairs of classes that are taken for each other most often."""
    table = np.array(review["confusion"])[:-1, :-1]
    np.fill_diagonal(table, 0)
    names = [row["name"] for row in review["classes"]]
    order = np.argsort(-table, axis=None, kind="stable")[:_CONFUSED]
    places = [divmod(int(place), len(names)) for place in order]
    return [
        (names[row], names[column], int(table[row, column]))
        for row, column in places
        if table[row, column]
    ]


def _settings(config: Config) -> list[dict[str, Any]]:
    """All settings, and whether each differs from its default."""
    rows: list[dict[str, Any]] = [{"name": "recipe", "value": config.recipe, "changed": True}]
    for setting in settings().values():
        value = getattr(getattr(config, setting.section), setting.key)
        same = value == setting.default or (
            isinstance(value, float) and math.isclose(value, setting.default)
        )
        rows.append({"name": setting.name, "value": str(value), "changed": not same})
    return rows
