"""The report of a run, made from what its directory holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cornernet.config import Config, load_config
from cornernet.errors import UserError
from cornernet.inference.review import REVIEW_KEYS
from cornernet.report.page import Report, Status, render
from cornernet.report.worst import draw_worst
from cornernet.runtime.files import write_text
from cornernet.train.environment import read_environments
from cornernet.train.log import read_records
from cornernet.train.run_directory import RunDirectory


@dataclass(frozen=True)
class RunFiles:
    """What the directory of a run holds, other than weights.

    Attributes:
        directory: where it is.
        config: its settings; None where the file is missing or of no use.
        records: the lines of its log.
        review: of the evaluation of its best weights; None for a run of an older version.
        notes: sentences on what is missing.
    """

    directory: RunDirectory
    config: Config | None
    records: list[dict[str, Any]]
    review: dict[str, Any] | None
    notes: list[str]


def read_run(path: str | Path) -> RunFiles:
    """Read the directory of a run, finished or not.

    Raises:
        UserError: there is no run.
    """
    directory = RunDirectory(Path(path))
    if not directory.config.is_file() and not directory.metrics.is_file():
        what = "another directory" if directory.path.is_dir() else "none"
        raise UserError(
            f"{directory.path}: expected the directory of a run, with {directory.config.name} and "
            f"{directory.metrics.name}, found {what}; name what training had as its output"
        )
    notes = []
    config = None
    try:
        config = load_config(directory.config)
    except (OSError, UserError) as error:
        notes.append(f"The settings cannot be read: {error}.")
    records = read_records(directory.metrics)
    review, note = _read_review(directory.evaluation)
    if note is not None:
        evaluated = any(record["kind"] == "val" for record in records)
        again = f"{note} Name the dataset to evaluate the best weights again."
        notes.append(again if evaluated else "The run has not been evaluated yet.")
    return RunFiles(directory, config, records, review, notes)


def _read_review(path: Path) -> tuple[dict[str, Any] | None, str | None]:
    """The review in a file, or a sentence on why there is none."""
    try:
        review = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, "The details of the evaluation were not kept by an older version."
    except (OSError, ValueError) as error:
        return None, f"{path} cannot be read: {error}."
    missing = REVIEW_KEYS - set(review) if isinstance(review, dict) else REVIEW_KEYS
    if missing:
        return None, f"{path} is of another version: it holds no {', '.join(sorted(missing))}."
    return review, None


def run_status(config: Config | None, records: Sequence[Mapping[str, Any]], held: bool) -> Status:
    """How far a run is.

    Args:
        config: of the run.
        records: the lines of its log.
        held: whether a process writes to it.
    """
    if config is None or not records:
        return Status("no steps", "No step has been logged.", False)
    epochs, last = config.train.epochs, records[-1]
    evaluated = [record for record in records if record["kind"] == "val"]
    done = evaluated[-1]["epoch"] if evaluated else 0
    if done >= epochs:
        return Status("finished", f"All {epochs} epochs are trained.", True)
    if 0 < config.train.patience <= _since_best(evaluated):
        return Status(
            "finished",
            f"Stopped early after epoch {done} of {epochs}: AP had not risen in "
            f"{config.train.patience} evaluations.",
            True,
        )
    where = f"epoch {last['epoch']:g} of {epochs}, step {last['step']}"
    if held:
        return Status("running", f"It is at {where}.", False)
    return Status("interrupted", f"It stopped at {where}, and can be continued with resume.", False)


def _since_best(evaluated: Sequence[Mapping[str, Any]]) -> int:
    """Evaluations since the first one with the highest AP."""
    values = [record["AP"] for record in evaluated]
    return len(values) - 1 - values.index(max(values)) if values and max(values) >= 0 else 0


def write_report(
    run: RunFiles, output: Path, held: bool, review: Mapping[str, Any] | None = None
) -> None:
    """Write the report of a run.

    Args:
        run: what its directory holds.
        output: an HTML file.
        held: whether a process writes to the run.
        review: of another evaluation of its weights than the one it keeps.
    """
    directory = run.directory
    environments = read_environments(directory.environment)
    review = run.review if review is None else review
    notes = run.notes if review is run.review else []
    report = Report(
        title=directory.path.resolve().name,
        about=_about(run.config, environments),
        status=run_status(run.config, run.records, held),
        config=run.config,
        records=run.records,
        review=review,
        worst=[] if review is None else draw_worst(review),
        environments=environments,
        notes=notes,
    )
    write_text(output, render(report))


def _about(config: Config | None, environments: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    if config is not None:
        parts.append(f"recipe {config.recipe}" if config.recipe else "a network of its own")
    if environments:
        last = environments[-1]
        parts += [f"cornernet {last['cornernet']}", last["device"], f"started {last['started']}"]
    return " · ".join(parts)
