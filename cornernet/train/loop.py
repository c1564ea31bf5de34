"""The training run: from a configuration and a dataset to weights."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from cornernet.config import Config, save_config
from cornernet.data.coco import CocoDataset
from cornernet.data.loader import training_batches
from cornernet.errors import UserError
from cornernet.inference.detect import detect
from cornernet.inference.evaluate import Evaluation, evaluate
from cornernet.model.detector import Detector, count_parameters, size_multiple
from cornernet.model.fuse import FusedDetector
from cornernet.report.curves import save_curves
from cornernet.report.draw import draw_detections
from cornernet.report.sheet import save_sheet
from cornernet.runtime.distributed import World
from cornernet.runtime.memory import peak_memory
from cornernet.structures import Batch
from cornernet.train.log import RunLog
from cornernet.train.run_directory import RunDirectory
from cornernet.train.trainer import Trainer
from cornernet.weights.file import Weights, load_weights, save_weights
from cornernet.weights.state import start_from

_SHEET_IMAGES = 12
# A box that one strong corner alone could carry is left out.
_SHEET_SCORE = 0.4


def train(
    config: Config,
    data: str | Path,
    output: str | Path,
    world: World,
    resume: bool = False,
) -> dict[str, float]:
    """Train a detector and leave the run in a directory.

    The directory gets config.yaml, metrics.jsonl, last.pt (to resume from), best.pt (the weights of
    the best AP), curves.png and predictions.png.

    Args:
        config: the recipe with its overrides.
        data: a dataset directory in COCO's format.
        output: the run's directory; must not hold a run, unless `resume`.
        world: this process, its device and its peers.
        resume: continue the run in `output`.

    Returns:
        The metrics of the best weights.

    Raises:
        UserError: bad data, settings or directory, found before anything is written; or a loss that
            is not finite.
    """
    directory = RunDirectory(Path(output))
    if not resume:
        directory.check_free()
    training_split, validation_split = read_data(config, data)
    config = resolved(config, training_split)
    checkpoint = directory.read_checkpoint(config) if resume else None
    if checkpoint is not None and checkpoint.classes != training_split.classes:
        raise UserError(
            f"must continue with the classes of the run, {checkpoint.classes}, found "
            f"{training_split.classes} in {data}; use the data the run was started with",
            field="resume",
        )
    notes: list[str] = []

    def initialise(model: Detector) -> None:
        if config.train.init and checkpoint is None:
            notes.extend(_initialise(model, config, training_split.classes))

    trainer = Trainer(config, world, initialise)
    if checkpoint is not None:
        trainer.load(checkpoint, str(directory.last))
    batches, steps = training_batches(training_split, config, trainer.epoch, world.rank, world.size)
    if trainer.step != trainer.epoch * steps:
        raise UserError(
            f"must continue with {trainer.step // trainer.epoch} steps an epoch, on which the "
            f"run's schedule rests, found {steps}; use as many processes and images as before",
            field="resume",
        )
    if world.is_main:
        directory.path.mkdir(parents=True, exist_ok=True)
        save_config(config, directory.config)
    losses = trainer.model.loss_names
    log = RunLog(directory.path, world.is_main, trainer.step, losses)
    _introduce(log, trainer, training_split, validation_split, directory)
    for note in notes:
        log.say(note)
    started = time.perf_counter()
    try:
        while trainer.epoch < config.train.epochs:
            _train_epoch(trainer, batches, steps, log)
            trainer.epoch += 1
            trainer.synchronize()
            metrics: dict[str, float] = {}
            if _is_evaluated(trainer.epoch, config):
                metrics = _validate(trainer, validation_split, log)
            if world.is_main:
                weights = trainer.weights(training_split.classes, metrics)
                if metrics and metrics["AP"] > trainer.best:
                    trainer.best = metrics["AP"]
                    save_weights(weights, directory.best)
                save_weights(dataclasses.replace(weights, training=trainer.state()), directory.last)
                if metrics:
                    save_curves(log.records, directory.curves)
    finally:
        log.close()
    if not world.is_main:
        return {}
    log.say(f"trained in {_duration(time.perf_counter() - started)}")
    best = load_weights(directory.best)
    _draw_sheet(best, validation_split, world, directory.sheet)
    numbers = "  ".join(f"{name}={best.metrics[name]:.3f}" for name in ("AP", "AP50", "AP75"))
    log.say(f"best: {numbers}  ({directory.best})")
    return best.metrics


def read_data(config: Config, data: str | Path) -> tuple[CocoDataset, CocoDataset]:
    """The training and the validation split of a dataset, as a recipe wants them."""
    training = CocoDataset(
        data,
        config.data.train_split,
        split_field="data.train_split",
        strict=config.data.strict,
        filter_empty=config.data.filter_empty,
        min_size=config.data.min_size,
    )
    validation = CocoDataset(
        data,
        config.data.val_split,
        split_field="data.val_split",
        strict=config.data.strict,
        classes=training.classes,
        classes_of=training.annotation_path.name,
    )
    return training, validation


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
    weights = load_weights(source)
    anew = start_from(model, weights, config.model, classes, source)
    if not anew:
        return [f"starting from all weights of {source}, whose classes are the same"]
    return [
        f"starting from {source} ({len(weights.classes)} classes: {_shortened(weights.classes)}); "
        f"re-initialised for the classes of this data: {', '.join(anew)}"
    ]


def _shortened(names: list[str], limit: int = 5) -> str:
    return ", ".join(names[:limit]) + (", …" if len(names) > limit else "")


def _is_evaluated(epoch: int, config: Config) -> bool:
    every = config.train.eval_every
    return epoch == config.train.epochs or (every > 0 and epoch % every == 0)


def _introduce(
    log: RunLog,
    trainer: Trainer,
    training_split: CocoDataset,
    validation_split: CocoDataset,
    directory: RunDirectory,
) -> None:
    config, world = trainer.config, trainer.world
    for dataset in (training_split, validation_split):
        counts = dataset.summary()
        log.say(
            f"{dataset.annotation_path.name}: {counts['images']} images, {counts['boxes']} boxes"
        )
    log.say(f"classes: {', '.join(training_split.classes)}")
    log.say(
        f"{config.recipe or 'network'}: {count_parameters(trainer.model):,} parameters, "
        f"{trainer.precision}, {world.size} process(es) on {world.device.type}, "
        f"{config.train.batch_size} images each per step"
    )
    if trainer.epoch:
        log.say(f"resuming {directory.last} after epoch {trainer.epoch}")


def _train_epoch(trainer: Trainer, batches: Iterator[Batch], steps: int, log: RunLog) -> None:
    config = trainer.config.train
    title = f"epoch {trainer.epoch + 1}/{config.epochs}"
    window: list[dict[str, float]] = []
    waited = 0.0
    since = time.perf_counter()
    with log.epoch(title, steps) as advance:
        for step in range(1, steps + 1):
            before = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - before
            window.append(trainer.train_step(batch, steps))
            advance(f"loss {window[-1]['loss/total']:.3f}")
            if step % config.log_every == 0 or step == steps:
                seconds = time.perf_counter() - since
                record = _summary(trainer, window, seconds, waited, step / steps)
                log.write("train", trainer.step, record)
                if not log.console.is_terminal or step == steps:
                    log.say(_train_line(title, step, steps, record))
                window, waited, since = [], 0.0, time.perf_counter()


def _summary(
    trainer: Trainer,
    window: list[dict[str, float]],
    seconds: float,
    waited: float,
    part: float,
) -> dict[str, Any]:
    """Means over the steps since the last line, joined over processes."""
    names = list(window[0])
    means = torch.tensor([[item[name] for name in names] for item in window]).mean(0)
    if trainer.world.size > 1:
        means = means.to(trainer.world.device)
        torch.distributed.all_reduce(means)
        means /= trainer.world.size
    record: dict[str, Any] = {"epoch": round(trainer.epoch + part, 4)}
    record |= dict(zip(names, means.tolist(), strict=True))
    record["learning_rate"] = window[-1]["learning_rate"]
    images = len(window) * trainer.config.train.batch_size * trainer.world.size
    record["images_per_second"] = round(images / seconds, 2)
    record["data_wait_share"] = round(waited / seconds, 4)
    memory = peak_memory(trainer.world.device)
    if memory is not None:
        record["peak_memory_gib"] = round(memory / 2**30, 3)
    return record


def _train_line(title: str, step: int, steps: int, record: dict[str, Any]) -> str:
    losses = "  ".join(
        f"{name.removeprefix('loss/')} {value:.3f}"
        for name, value in record.items()
        if name.startswith("loss/")
    )
    memory = f"  {record['peak_memory_gib']} GiB" if "peak_memory_gib" in record else ""
    return (
        f"{title}  step {step}/{steps}  {losses}  lr {record['learning_rate']:.2e}  "
        f"{record['images_per_second']:.1f} images/s  "
        f"waited {100 * record['data_wait_share']:.0f}%{memory}"
    )


def _validate(trainer: Trainer, dataset: CocoDataset, log: RunLog) -> dict[str, float]:
    """Metrics on the validation split; empty in other processes than the first."""
    share = -(-len(dataset) // trainer.world.size)
    with log.epoch("validation", share) as advance:

        def progress(images: int) -> None:
            for _ in range(images):
                advance("")

        started = time.perf_counter()
        evaluation: Evaluation | None
        evaluation, _ = evaluate(
            trainer.inference_form(), dataset, trainer.config, trainer.world, progress
        )
    if evaluation is None:
        return {}
    seconds = time.perf_counter() - started
    log.write(
        "val",
        trainer.step,
        {"epoch": trainer.epoch, **evaluation.metrics, "seconds": round(seconds, 2)},
    )
    numbers = "  ".join(f"{name} {value:.3f}" for name, value in evaluation.metrics.items())
    log.say(f"epoch {trainer.epoch}/{trainer.config.train.epochs}  validation  {numbers}")
    return evaluation.metrics


def _draw_sheet(weights: Weights, dataset: CocoDataset, world: World, path: Path) -> None:
    """Detections on some images spread over the validation split."""
    model = FusedDetector(weights.build_model().to(world.device))
    count = min(_SHEET_IMAGES, len(dataset))
    images = []
    for number in range(count):
        sample = dataset.load(number * len(dataset) // count)
        found = detect(model, [sample.image], weights.config)[0]
        found = found.select(found.scores >= _SHEET_SCORE)
        zoom = max(1.0, 480 / max(sample.image.shape[:2]))
        name = f"{Path(sample.path).name}: {len(found)} found, {len(sample.boxes)} annotated"
        images.append((name, draw_detections(sample.image, found, weights.classes, zoom)))
    save_sheet(images, path, cell=480)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} h" if hours else f"{minutes}:{rest:02d} min"
