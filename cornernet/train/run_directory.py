"""The directory of a run, and what is needed to continue it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cornernet.config import Config
from cornernet.errors import UserError
from cornernet.weights.file import Weights, load_weights

# Settings that change how a run is done, not what it computes.
_FREE_SETTINGS = {
    "data.workers", "train.log_every", "train.eval_every", "test.batch_size", "runtime.threads",
}  # fmt: skip


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
    def curves(self) -> Path:
        return self.path / "curves.png"

    @property
    def sheet(self) -> Path:
        return self.path / "predictions.png"

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
        for file in (self.config, self.last, self.best, self.path / "metrics.jsonl"):
            if file.exists():
                raise UserError(
                    f"must be a directory without a run, found {file}; continue that run with "
                    "resume, or choose another directory",
                    field="output",
                )

    def read_checkpoint(self, config: Config) -> Weights | None:
        """The run's last state; None where it stopped in its first epoch.

        Raises:
            UserError: there is no run, or it was started with other settings.
        """
        if not self.last.is_file() and self.config.is_file():
            return None
        if not self.last.is_file():
            raise UserError(
                f"must find the checkpoint of a run, but there is no {self.last}; start the run "
                "without it",
                field="resume",
            )
        weights = load_weights(self.last)
        if weights.training is None:
            raise UserError(
                f"must find a checkpoint of training, found in {self.last} weights alone",
                field="resume",
            )
        changes = _differences(weights.config.to_dict(), config.to_dict())
        if changes:
            raise UserError(
                "must continue with the settings the run was started with, found "
                + "; ".join(f"{key}: {old!r} → {new!r}" for key, (old, new) in changes.items())
                + "; undo these changes, or start a new run in another directory",
                field="resume",
            )
        return weights


def _differences(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Settings that differ and matter, by dotted name."""
    found = {}
    for section, values in old.items():
        if not isinstance(values, dict):
            continue
        for key, value in values.items():
            name = f"{section}.{key}"
            if value != new[section][key] and name not in _FREE_SETTINGS:
                found[name] = (value, new[section][key])
    return found
