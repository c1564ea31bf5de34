"""Where a run's numbers go: metrics.jsonl, the terminal, and sinks that are installed."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cornernet.errors import UserError
from cornernet.runtime.files import replacing
from cornernet.runtime.terminal import console
from cornernet.vendors.tecorigin.logger import TecoriginLogger


def read_records(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl; a last line that a crash cut short is left out."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


class Sink(Protocol):
    """A place beside metrics.jsonl where a run's records go."""

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Take a record: `kind` is "train" or "val", `step` the number of steps done.

        Args:
            kind: what the record is about.
            step: number of steps done.
            values: by name; None where a number was not finite.
        """

    def close(self) -> None:
        """Finish writing."""


class TensorBoard:
    """Scalars for TensorBoard.

    Raises:
        ImportError: `tensorboard` is not installed.
    """

    def __init__(self, directory: Path, first_step: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._board = SummaryWriter(str(directory / "tensorboard"), purge_step=first_step + 1)

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if isinstance(value, int | float):
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        self._board.close()


def open_sinks(directory: Path, first_step: int, losses: Sequence[str]) -> list[Sink]:
    """The sinks whose packages are installed.

    Args:
        directory: of the run.
        first_step: number of steps that were done before this part of the run.
        losses: names of the losses.
    """
    sinks: list[Sink] = []
    with suppress(ImportError):
        sinks.append(TensorBoard(directory, first_step))
    with suppress(ImportError):
        sinks.append(TecoriginLogger(directory, first_step, losses))
    return sinks


class RunLog:
    """Records of a run, to a file, to the terminal and to sinks.

    On a terminal a progress bar shows the epoch; elsewhere, as in a log file, plain lines do.

    Args:
        directory: of the run.
        is_main: other processes than the first log nothing.
        resume_step: drop the records of steps after this one: a run that was killed in mid-epoch
            does these steps again.
        losses: names of the losses.
        validated: whether the validation after `resume_step` is done; if it is done again, its
            record is dropped.
    """

    def __init__(
        self,
        directory: Path,
        is_main: bool,
        resume_step: int = 0,
        losses: Sequence[str] = (),
        validated: bool = True,
    ) -> None:
        self.path = directory / "metrics.jsonl"
        self.is_main = is_main
        self.console = console(quiet=not is_main)
        self.records: list[dict[str, Any]] = []
        self._sinks: list[Sink] = []
        if not is_main:
            return
        self.records = [
            record
            for record in read_records(self.path)
            if record["step"] < resume_step + (validated or record["kind"] == "train")
        ]
        # By way of another file: a run that dies just here keeps its records.
        kept = "".join(json.dumps(record) + "\n" for record in self.records)
        with replacing(self.path) as temporary:
            temporary.write_text(kept, encoding="utf-8")
        self._sinks = open_sinks(directory, resume_step, losses)

    def write(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """Append a record: `kind` is "train" or "val", `step` the number of steps done."""
        if not self.is_main:
            return
        record: dict[str, Any] = {"kind": kind, "step": step}
        for name, value in values.items():
            # JSON has no infinity, which a gradient under a scaler may be.
            finite = not isinstance(value, float) or math.isfinite(value)
            record[name] = value if finite else None
        self.records.append(record)
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error}); make room") from None
        for sink in self._sinks:
            sink.write(kind, step, {name: record[name] for name in values})

    def say(self, text: str) -> None:
        """A line for people, above the progress bar if there is one."""
        self.console.print(text, soft_wrap=True)
        # A log file shows lines when they are said, not when a buffer is full.
        sys.stdout.flush()

    @contextmanager
    def epoch(self, title: str, steps: int, done: int = 0) -> Iterator[Any]:
        """Show the progress of one epoch; yields a function (text) → None to call at each step.

        Args:
            title: what is shown.
            steps: of the whole epoch.
            done: how many of them were made before.
        """
        if not (self.is_main and self.console.is_terminal):
            yield lambda text: None
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(title, total=steps, completed=done, text="")
            yield lambda text: progress.update(task, advance=1, text=text)

    def close(self) -> None:
        """Finish writing."""
        for sink in self._sinks:
            sink.close()
