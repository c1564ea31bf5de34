"""Where a run's numbers go: metrics.jsonl, the terminal, and sinks."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cornernet.config import Config
from cornernet.errors import UserError
from cornernet.runtime.files import replacing
from cornernet.runtime.terminal import console
from cornernet.train.sinks import Sink, open_sinks


def read_records(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl; a last line that a crash cut short is left out."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


_DEFAULTS = Config()


def _as_lines(records: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


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
        config: of the run; `train.log_to` names services that get the records, too.

    Raises:
        UserError: such a service cannot be used.
    """

    def __init__(
        self,
        directory: Path,
        is_main: bool,
        resume_step: int = 0,
        losses: Sequence[str] = (),
        validated: bool = True,
        config: Config = _DEFAULTS,
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
        kept = _as_lines(self.records)
        with replacing(self.path) as temporary:
            temporary.write_text(kept, encoding="utf-8")
        self._sinks = open_sinks(directory, resume_step, losses, config)

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
            if (
                not self.path.parent.is_dir()
            ):  # somebody has removed it: everything is written again
                self.path.parent.mkdir(parents=True)
                self.path.write_text(_as_lines(self.records[:-1]), encoding="utf-8")
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(_as_lines([record]))
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error}); make room") from None
        written = {name: record[name] for name in values}
        self._for_each_sink(lambda sink: sink.write(kind, step, written))

    def _for_each_sink(self, act: Callable[[Sink], None]) -> None:
        """Call a function with each sink; one that fails gets no more: a run does not end by it."""
        for sink in list(self._sinks):
            try:
                act(sink)
            except Exception as error:  # of any kind: these are other people's packages
                self._sinks.remove(sink)
                self.say(f"{type(sink).__name__} gets no more records: {error}")

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

    def close(self, finished: bool = True) -> None:
        """Finish writing.

        Args:
            finished: whether the run is at its end; else it was stopped and may be continued.
        """
        self._for_each_sink(lambda sink: sink.close(finished))
