"""The directory of a run, and what is needed to continue it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cornernet.errors import UserError
from cornernet.weights.contents import check_training
from cornernet.weights.file import Weights, load_weights


@dataclass(frozen=True)
class Checkpoint:
    """The state from which a run goes on.

    Attributes:
        weights: with `training`.
        path: where it was read.
        damaged: newer files that could not be read, each with the reason.
    """

    weights: Weights
    path: Path
    damaged: list[str]

    @property
    def training(self) -> dict[str, Any]:
        assert self.weights.training is not None  # RunDirectory.read_checkpoint has checked
        return self.weights.training

    @property
    def steps_per_epoch(self) -> int:
        """Steps in each epoch of the run."""
        # Older versions did not say and made checkpoints at the end of epochs only.
        training = self.training
        steps: int = training["step"] // max(1, training["epoch"])
        return int(training.get("steps_per_epoch", steps))


@dataclass(frozen=True)
class RunDirectory:
    """Names of the files of a run."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def last(self) -> Path:
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        return self.path / "best.pt"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def evaluation(self) -> Path:
        """The review of the evaluation of the best weights; see `inference.review`."""
        return self.path / "evaluation.json"

    @property
    def environment(self) -> Path:
        """What each part of the run ran on; see `train.environment`."""
        return self.path / "environment.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def curves(self) -> Path:
        return self.path / "curves.png"

    @property
    def sheet(self) -> Path:
        return self.path / "predictions.png"

    def failed_batch(self, rank: int) -> Path:
        """The batch for which a loss or a gradient of a process was not finite."""
        return self.path / f"failed-batch-{rank}.pt"

    def older(self, step: int) -> Path:
        """The name under which the checkpoint of a step is kept once it is not the last one."""
        return self.path / f"checkpoint-{step}.pt"

    def older_steps(self) -> list[int]:
        """Steps of the older checkpoints, newest first."""
        names = (path.name for path in self.path.glob("checkpoint-*.pt"))
        matches = (re.fullmatch(r"checkpoint-(\d+)\.pt", name) for name in names)
        return sorted((int(match[1]) for match in matches if match), reverse=True)

    def has_run(self) -> bool:
        """Whether there is a run to continue."""
        return self.config.is_file() or bool(self._checkpoints())

    def _checkpoints(self) -> list[Path]:
        """Newest first."""
        files = [self.last, *map(self.older, self.older_steps())]
        return [file for file in files if file.is_file()]

    def check_free(self) -> None:
        """Refuse a directory that already holds a run.

        Raises:
            UserError: it does, or it is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(
                f"must be a directory, found the file {self.path}; choose another name",
                field="output",
            )
        for file in (self.config, self.last, self.best, self.metrics):
            if file.exists():
                raise UserError(
                    f"must be a directory without a run, found {file}; continue that run with "
                    "resume, or choose another directory",
                    field="output",
                )

    def read_checkpoint(self) -> Checkpoint | None:
        """The run's newest whole checkpoint; None where it stopped before it had one.

        Raises:
            UserError: there is no run, or no checkpoint is whole.
        """
        files = self._checkpoints()
        if not files and self.config.is_file():
            return None
        if not files:
            raise UserError(
                f"must find the checkpoint of a run, but there is no {self.last}; start the run "
                "without it",
                field="resume",
            )
        damaged: list[str] = []
        for file in files:
            try:
                weights = load_weights(file)
                if weights.training is not None:
                    check_training(weights.training, str(file))
            except UserError as error:
                damaged.append(str(error))
                continue
            if weights.training is None:
                raise UserError(
                    f"must find a checkpoint of training, found in {file} weights alone",
                    field="resume",
                )
            return Checkpoint(weights, file, damaged)
        raise UserError(
            f"must find a whole checkpoint, but none can be read: {'; '.join(damaged)}; start a "
            "new run in another directory",
            field="resume",
        )
