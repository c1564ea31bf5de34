"""The start of a run: its first state, or the one of a checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from cornernet.config import Config
from cornernet.data.coco import CocoDataset
from cornernet.data.loader import training_batches
from cornernet.errors import UserError
from cornernet.model.detector import Detector
from cornernet.model.hourglass import size_multiple
from cornernet.runtime.distributed import World
from cornernet.structures import Batch
from cornernet.train.run_directory import Checkpoint
from cornernet.train.schedule import learning_rate
from cornernet.train.trainer import Trainer
from cornernet.weights.file import load_weights
from cornernet.weights.pretrained import start_file
from cornernet.weights.state import Start, start_from


@dataclass
class Run:
    """What a run's steps need.

    Attributes:
        trainer: its state.
        batches: of all steps to come.
        steps: in an epoch.
        window: what was logged at the steps since the last line of the log.
        notes: what to tell about the start.
    """

    trainer: Trainer
    batches: Generator[Batch, None, None]
    steps: int
    window: list[dict[str, float]]
    notes: list[str]


def start(
    config: Config,
    dataset: CocoDataset,
    world: World,
    checkpoint: Checkpoint | None,
    data: str | Path,
) -> Run:
    """The state of a new run, or of one that goes on.

    Raises:
        UserError: the run was started with other data or another number of processes.
    """
    if checkpoint is not None and checkpoint.weights.classes != dataset.classes:
        raise UserError(
            f"must continue with the classes of the run, {checkpoint.weights.classes}, found "
            f"{dataset.classes} in {data}; use the data the run was started with",
            field="resume",
        )
    notes: list[str] = []

    def initialise(model: Detector) -> None:
        if config.train.init and checkpoint is None:
            notes.extend(_initialise(model, config, dataset.classes))

    trainer = Trainer(config, world, initialise)
    window: list[dict[str, float]] = []
    done = 0
    if checkpoint is not None:
        training = checkpoint.training
        processes = training.get("processes")
        if processes is not None and len(processes) != world.size:
            raise UserError(
                f"must continue with the {len(processes)} processes of the run, found "
                f"{world.size}; start as many as before",
                field="resume",
            )
        own = None if processes is None else processes[world.rank]
        window = [] if own is None else own["window"]
        trainer.load(checkpoint.weights, str(checkpoint.path), own)
        # Older versions made checkpoints at the end of epochs only.
        steps_before = training.get("steps_per_epoch", trainer.step // max(1, trainer.epoch))
        done = trainer.step - trainer.epoch * steps_before
        notes.extend(_changes(checkpoint, config, steps_before))
    batches, steps = training_batches(
        dataset, config, trainer.epoch, world.rank, world.size, first_step=done
    )
    if checkpoint is not None and steps != steps_before:
        raise UserError(
            f"must continue with {steps_before} steps an epoch, on which the run's schedule "
            f"rests, found {steps}; use as many processes and images as before",
            field="resume",
        )
    return Run(trainer, batches, steps, window, notes)


def _changes(checkpoint: Checkpoint, config: Config, steps: int) -> list[str]:
    """What to tell of how a run goes on."""
    notes = [f"{reason}; going on from {checkpoint.path}" for reason in checkpoint.damaged]
    old, new = checkpoint.weights.config.train, config.train
    if new.epochs > old.epochs:
        effect = "the learning rate follows the same schedule"
        if new.schedule == "cosine":
            step = checkpoint.training["step"]
            rates = [learning_rate(step, steps, train) for train in (old, new)]
            effect = (
                "the learning rate falls along the cosine of all epochs from here on: it is "
                f"{rates[1]:.3g} at the next step, where the cosine of {old.epochs} epochs has "
                f"{rates[0]:.3g}; a run started with {new.epochs} epochs would be elsewhere"
            )
        notes.append(f"train.epochs is raised from {old.epochs} to {new.epochs}; {effect}")
    return notes


def resolved(config: Config, dataset: CocoDataset) -> Config:
    """A recipe with what its data and its network decide: the number of classes, canvas sizes.

    Raises:
        UserError: the recipe says another number of classes than the data has.
    """
    number = len(dataset.classes)
    if config.model.num_classes not in (0, number):
        raise UserError(
            f"must be {number}, the number of categories in {dataset.annotation_path}, got "
            f"{config.model.num_classes}; leave it at 0",
            field="model.num_classes",
        )
    model = dataclasses.replace(config.model, num_classes=number)
    multiple = config.test.pad_multiple or size_multiple(model)
    test = dataclasses.replace(config.test, pad_multiple=multiple)
    return dataclasses.replace(config, model=model, test=test)


def _initialise(model: Detector, config: Config, classes: list[str]) -> list[str]:
    """Load `train.init`; returns what to tell about it."""
    source = config.train.init
    weights = load_weights(start_file(source))
    taken = start_from(model, weights, config.model, classes, source)
    if taken == Start([], [], []):
        return [f"starting from all weights of {source}, whose classes are the same"]
    told = [
        f"starting from {source} ({len(weights.classes)} classes: {_shortened(weights.classes)})"
    ]
    if taken.reinitialised:
        told.append(f"re-initialised for this data and network: {', '.join(taken.reinitialised)}")
    if taken.shared:
        told.append(f"the one class's weights start every class: {', '.join(taken.shared)}")
    if taken.left_out:
        told.append(f"left out, since the network has no such part: {', '.join(taken.left_out)}")
    return ["; ".join(told)]


def _shortened(names: list[str], limit: int = 5) -> str:
    return ", ".join(names[:limit]) + (", …" if len(names) > limit else "")
