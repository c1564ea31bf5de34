"""Places beside metrics.jsonl to which a run's records go: TensorBoard, MLflow, Weights & Biases.

TensorBoard's files, and Tecorigin's, are written where their packages are installed. Services are
asked for by `train.log_to`, because a record may leave the machine.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from cornernet.config import Config, settings
from cornernet.errors import UserError
from cornernet.runtime.files import write_json
from cornernet.vendors.tecorigin.logger import TecoriginLogger

_PROJECT = "cornernet"


class Sink(Protocol):
    """A place beside metrics.jsonl where a run's records go."""

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Take a record: `kind` is "train" or "val", `step` the number of steps done.

        Args:
            kind: what the record is about.
            step: number of steps done.
            values: by name; None where a number was not finite.
        """

    def close(self, finished: bool = True) -> None:
        """Finish writing.

        Args:
            finished: whether the run is at its end; else it was stopped and may be continued.
        """


class TensorBoard:
    """Scalars for TensorBoard.

    Raises:
        ImportError: `tensorboard` is not installed.
    """

    def __init__(self, directory: Path, first_step: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._board = SummaryWriter(str(directory / "tensorboard"), purge_step=first_step + 1)

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        for name, value in _numbers(kind, values).items():
            self._board.add_scalar(name, value, step)

    def close(self, finished: bool = True) -> None:
        self._board.close()


class MLflow:
    """A run of an MLflow tracking server, or of its files.

    MLflow's own variables choose where: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME.

    Args:
        directory: the run's directory, whose name the MLflow run gets; keeps its id, so that a run
            that is continued continues it.
        config: becomes the parameters.

    Raises:
        ImportError: `mlflow` is not installed.
    """

    def __init__(self, directory: Path, config: Config) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        self._client: Any = MlflowClient()
        self._metric = Metric
        stored = _stored_id(directory, "mlflow")
        if stored is not None:
            self._client.update_run(stored, status="RUNNING")
            self._run = stored
            return
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT)
        experiment = self._client.get_experiment_by_name(name)
        identity = experiment.experiment_id if experiment else self._client.create_experiment(name)
        run = self._client.create_run(identity, run_name=directory.resolve().name)
        self._run = run.info.run_id
        _store_id(directory, "mlflow", self._run)
        params = [Param(key, str(value)) for key, value in _flat(config).items()]
        for first in range(0, len(params), 100):  # MLflow takes 100 at once
            self._client.log_batch(self._run, params=params[first : first + 100])

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        now = int(time.time() * 1000)
        numbers = _numbers(kind, values).items()
        metrics = [self._metric(name, float(value), now, step) for name, value in numbers]
        self._client.log_batch(self._run, metrics=metrics)

    def close(self, finished: bool = True) -> None:
        self._client.set_terminated(self._run, "FINISHED" if finished else "KILLED")


class WeightsAndBiases:
    """A run of Weights & Biases.

    Its own variables choose where: WANDB_MODE (offline writes files alone), WANDB_PROJECT, ….

    Args:
        directory: the run's directory, whose name the W&B run gets; keeps its id, so that a run
            that is continued continues it.
        config: as its configuration.

    Raises:
        ImportError: `wandb` is not installed.
    """

    def __init__(self, directory: Path, config: Config) -> None:
        from wandb import init

        stored = _stored_id(directory, "wandb")
        self._run: Any = init(
            project=os.environ.get("WANDB_PROJECT", _PROJECT),
            name=directory.resolve().name,
            dir=str(directory),
            id=stored,
            resume=None if stored is None else "allow",
            config=_flat(config),
        )
        _store_id(directory, "wandb", self._run.id)
        # Steps as an axis of ours: W&B's own refuses those that are done again after a stop.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        self._run.log(_numbers(kind, values) | {"step": step})

    def close(self, finished: bool = True) -> None:
        self._run.finish(exit_code=0 if finished else 1)


_SERVICES: dict[str, Any] = {"mlflow": MLflow, "wandb": WeightsAndBiases}


def check_services(names: Sequence[str]) -> None:
    """Refuse services whose package is not installed.

    Args:
        names: `train.log_to`.

    Raises:
        UserError: a package is missing.
    """
    for name in names:
        try:
            # A directory of this name, as W&B makes one, is an empty package to Python.
            if name == "mlflow":
                from mlflow import MlflowClient  # noqa: F401
            else:
                from wandb import init  # noqa: F401
        except ImportError:
            raise UserError(
                f"names {name}, which is not installed; run pip install {name}, or leave it out",
                field="train.log_to",
            ) from None


def open_sinks(
    directory: Path, first_step: int, losses: Sequence[str], config: Config
) -> list[Sink]:
    """The sinks whose packages are installed, and the services that `train.log_to` names.

    Args:
        directory: of the run.
        first_step: number of steps that were done before this part of the run.
        losses: names of the losses.
        config: of the run.

    Raises:
        UserError: a service does not answer, or wants a key.
    """
    sinks: list[Sink] = []
    with suppress(ImportError):
        sinks.append(TensorBoard(directory, first_step))
    with suppress(ImportError):
        sinks.append(TecoriginLogger(directory, first_step, losses))
    for name in config.train.log_to:
        try:
            sinks.append(_SERVICES[name](directory, config))
        except Exception as error:  # of many kinds: no key, no network, no such run
            raise UserError(
                f"names {name}, which cannot be opened: {error}; see its documentation, or leave "
                "it out",
                field="train.log_to",
            ) from None
    return sinks


def _numbers(kind: str, values: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a record, by name with the record's kind in front."""
    return {
        f"{kind}/{name}": value for name, value in values.items() if isinstance(value, int | float)
    }


def _flat(config: Config) -> dict[str, Any]:
    """All settings by dotted name."""
    flat: dict[str, Any] = {"recipe": config.recipe}
    for setting in settings().values():
        flat[setting.name] = getattr(getattr(config, setting.section), setting.key)
    return flat


def _stored_id(directory: Path, service: str) -> str | None:
    """The id under which a service knows the run in a directory; None if it does not."""
    file = directory / f"{service}.json"
    return json.loads(file.read_text(encoding="utf-8"))["run"] if file.is_file() else None


def _store_id(directory: Path, service: str, identity: str) -> None:
    write_json(directory / f"{service}.json", {"run": identity})
