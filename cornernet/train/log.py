"""Where a run's numbers go: metrics.jsonl and the terminal; TensorBoard and tcap_dllogger, which
Tecorigin's model zoo asks for, where they are installed."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
from cornernet.runtime.files import replacing


def read_records(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl; a last line that a crash cut short is left out."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


# What Tecorigin's model zoo calls the values of each kind of record, and wants to know of them.
_LOSS = {"unit": "", "GOAL": "MINIMIZE", "STAGE": "TRAIN"}
_ACCURACY = {"unit": "", "GOAL": "MAXIMIZE", "STAGE": "VALID"}
_SPEED = {"unit": "imgs/s", "format": ":.3f", "GOAL": "MAXIMIZE", "STAGE": "TRAIN"}
_ZOO: dict[str, dict[str, tuple[str, dict[str, str]]]] = {
    "train": {
        "loss/total": ("train.loss", _LOSS),
        "loss/focal": ("train.loss_focal", _LOSS),
        "loss/pull": ("train.loss_pull", _LOSS),
        "loss/push": ("train.loss_push", _LOSS),
        "loss/offset": ("train.loss_offset", _LOSS),
        "images_per_second": ("train.ips", _SPEED),
    },
    "val": {name: (f"val.{name}", _ACCURACY) for name in ("AP", "AP50", "AP75")},
}


class RunLog:
    """Records of a run, to a file, to the terminal, and to loggers that are installed.

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
        self._board: Any = None
        self._zoo: Any = None
        if not is_main:
            return
        self.records = [r for r in read_records(self.path) if r["step"] <= resume_step]
        # By way of another file: a run that dies just here keeps its records.
        kept = "".join(json.dumps(record) + "\n" for record in self.records)
        with replacing(self.path) as temporary:
            temporary.write_text(kept, encoding="utf-8")
        with suppress(ImportError):
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=resume_step + 1)
        with suppress(ImportError):
            from tcap_dllogger import JSONStreamBackend, Logger, Verbosity

            # A file for each part of a run that was stopped: the logger writes over old ones.
            path = folder / f"tcap_dllogger-{resume_step}.json"
            self._zoo = Logger([JSONStreamBackend(Verbosity.VERBOSE, str(path))])
            for names in _ZOO.values():
                for name, about in names.values():
                    self._zoo.metadata(name, about)

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
        if self._zoo is not None:
            data = {zoo: values[name] for name, (zoo, _) in _ZOO[kind].items() if name in values}
            self._zoo.log(step=step, data={"rank": 0, **data})  # the only one that logs

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
        if self._zoo is not None:
            self._zoo.flush()
