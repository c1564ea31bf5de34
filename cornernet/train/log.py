"""Where a run's numbers go: metrics.jsonl always, TensorBoard if installed, the terminal."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cornernet.errors import UserError
from cornernet.files import replacing


def read_records(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl; a last line that a crash cut short is left out."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


class RunLog:
    """Records of a run, to a file, to TensorBoard and to the terminal.

    On a terminal a progress bar shows the epoch; elsewhere, as in a log file, plain lines do.

    Args:
        folder: the run's folder.
        is_main: other processes than the first log nothing.
        resume_step: drop the records of steps after this one: a run that was killed in mid-epoch
            does these steps again.
    """

    def __init__(self, folder: Path, is_main: bool, resume_step: int = 0) -> None:
        self.path = folder / "metrics.jsonl"
        self.is_main = is_main
        self.console = Console(quiet=not is_main, highlight=False)
        self.records: list[dict[str, Any]] = []
        self._board = None
        if not is_main:
            return
        self.records = [r for r in read_records(self.path) if r["step"] <= resume_step]
        # By way of another file: a run that dies just here keeps its records.
        kept = "".join(json.dumps(record) + "\n" for record in self.records)
        with replacing(self.path) as temporary:
            temporary.write_text(kept, encoding="utf-8")
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=resume_step + 1)

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
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(f"{kind}/{name}", value, step)

    def say(self, text: str) -> None:
        """A line for people, above the progress bar if there is one."""
        self.console.print(text, markup=False, soft_wrap=True)
        # A log file shows lines when they are said, not when a buffer is full.
        sys.stdout.flush()

    @contextmanager
    def epoch(self, title: str, steps: int) -> Iterator[Any]:
        """Show the progress of one epoch; yields a function (text) → None to call at each step."""
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
            task = progress.add_task(title, total=steps, text="")
            yield lambda text: progress.update(task, advance=1, text=text)

    def close(self) -> None:
        """Finish writing."""
        if self._board is not None:
            self._board.close()
