"""The start of a run: its first state, or the one of a checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cornernet.config import Config
from cornernet.data.coco import CocoDataset
from cornernet.data.loader import share, training_batches
from cornernet.errors import UserError
from cornernet.model.detector import Detector
from cornernet.runtime.distributed import World
from cornernet.structures import Batch
from cornernet.train.batch_size import fitting_micro_batch
from cornernet.train.run_directory import Checkpoint
from cornernet.train.trainer import Trainer
from cornernet.weights.file import load_weights
from cornernet.weights.pretrained import AUTO, start_file
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
        UserError: the run was started with other data, or there are more processes than images.
    """
    if config.train.batch_size < world.size:
        raise UserError(
            f"must be at least the number of processes, {world.size}, so that each has an image, "
            f"got {config.train.batch_size}; start fewer processes",
            field="train.batch_size",
        )
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

    micro_batch = _micro_batch(config, world, checkpoint)
    trainer = Trainer(config, world, initialise)
    if micro_batch != config.train.micro_batch:
        trainer.micro_batch = micro_batch
        notes.append(
            f"{micro_batch} images at a time go through the network, as the memory of "
            f"{world.device.type} does not suffice for all; the gradient is that of the whole batch"
        )
    window: list[dict[str, float]] = []
    done = 0
    if checkpoint is not None:
        trainer.load(checkpoint.weights, str(checkpoint.path), _own_state(checkpoint, world))
        window = _window(checkpoint)
        done = trainer.step - trainer.epoch * checkpoint.steps_per_epoch
    batches, steps = training_batches(
        dataset, config, trainer.epoch, world.rank, world.size, first_step=done
    )
    if checkpoint is not None and steps != checkpoint.steps_per_epoch:
        raise UserError(
            f"must continue with {checkpoint.steps_per_epoch} steps an epoch, on which the run's "
            f"schedule rests, found {steps}; use as many images as before",
            field="resume",
        )
    return Run(trainer, batches, steps, window, notes)


def _micro_batch(config: Config, world: World, checkpoint: Checkpoint | None) -> int:
    """How many images go through the network at a time; 0 for all.

    What was found by memory is kept, since BatchNorm's statistics depend on it, until another
    number of processes changes the shares.
    """
    if checkpoint is not None and config.train.micro_batch == 0:
        training, before = checkpoint.training, checkpoint.weights.config.train.micro_batch
        if before == 0 and "micro_batch" in training and len(training["processes"]) == world.size:
            return int(training["micro_batch"])
    ranks = range(world.size)
    most = max(len(share(config.train.batch_size, rank, world.size)) for rank in ranks)
    return fitting_micro_batch(config, world, most)


def _own_state(checkpoint: Checkpoint, world: World) -> dict[str, Any] | None:
    """What a checkpoint holds for this process alone; None in one of an older version.

    Processes that were not there take the first one's random states: all draw the same numbers.
    """
    processes = checkpoint.training.get("processes")
    if processes is None:
        return None
    same = len(processes) == world.size
    own: dict[str, Any] = processes[world.rank if same else 0]
    return own


def _window(checkpoint: Checkpoint) -> list[dict[str, float]]:
    """What the steps since the last line of the log have logged."""
    training = checkpoint.training
    if "window" in training:
        window: list[dict[str, float]] = training["window"]
        return window
    # An older version: each process has its own figures, or there are none.
    windows = [process["window"] for process in training.get("processes", [])]
    return [
        {name: sum(step[name] for step in steps) / len(steps) for name in steps[0]}
        for steps in zip(*windows, strict=True)
    ]


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
    multiple = config.test.pad_multiple or model.size_multiple
    test = dataclasses.replace(config.test, pad_multiple=multiple)
    return dataclasses.replace(config, model=model, test=test)


def _initialise(model: Detector, config: Config, classes: list[str]) -> list[str]:
    """Load `train.init`; returns what to tell about it."""
    path = start_file(config.train.init, config.model)
    if path is None:
        return ["starting from random weights: the package holds none of this network"]
    source = path.stem if config.train.init == AUTO else config.train.init
    weights = load_weights(path)
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
