"""The training run: from a configuration and a dataset to weights."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Generator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from cornernet.config import Config, save_config
from cornernet.data.coco import CocoDataset
from cornernet.data.loader import training_batches
from cornernet.data.splits import training_splits
from cornernet.errors import UserError
from cornernet.inference.detect import detect
from cornernet.inference.evaluate import Evaluation, evaluate, shown_metric
from cornernet.model.detector import Detector, count_parameters, size_multiple
from cornernet.model.fuse import FusedDetector
from cornernet.report.curves import save_curves
from cornernet.report.draw import draw_detections
from cornernet.report.sheet import save_sheet
from cornernet.runtime.distributed import World
from cornernet.runtime.files import remove_stale
from cornernet.runtime.memory import peak_memory
from cornernet.structures import Batch
from cornernet.train.checkpoints import Checkpoints
from cornernet.train.lock import RunLock
from cornernet.train.log import RunLog
from cornernet.train.run_directory import Checkpoint, RunDirectory
from cornernet.train.schedule import learning_rate
from cornernet.train.signals import RunStopped, StopRequest
from cornernet.train.trainer import Requests, Trainer
from cornernet.weights.file import Weights, load_weights
from cornernet.weights.state import start_from

# The numbers that are told about the best weights.
_BEST = ("AP", "AP50", "AP75")
_SHEET_IMAGES = 12
# A box that one strong corner alone could carry is left out.
_SHEET_SCORE = 0.4


def train(
    config: Config,
    data: str | Path,
    output: str | Path,
    world: World,
    resume: bool | Literal["auto"] = False,
) -> dict[str, float]:
    """Train a detector and leave the run in a directory.

    The directory gets config.yaml, metrics.jsonl, last.pt (to resume from) and older checkpoints,
    best.pt (the weights of the best AP), curves.png and predictions.png. While the run lasts, a
    file `lock` in it names the process.

    Called in the main thread, it takes SIGTERM, SIGINT and SIGUSR1 as the wish to stop: it finishes
    the step and saves its state. A second signal ends the process at once.

    Args:
        config: the recipe with its overrides.
        data: a dataset directory.
        output: the run's directory; must not hold a run, unless `resume`.
        world: this process, its device and its peers.
        resume: continue the run in `output`; "auto" continues it if there is one.

    Returns:
        The metrics of the best weights.

    Raises:
        UserError: bad data, settings or directory, found before anything is written; or a loss that
            is not finite, or a file that cannot be written.
        RunStopped: a signal asked for it.
    """
    request = StopRequest("TORCHELASTIC_RUN_ID" in os.environ)
    directory = RunDirectory(Path(output))
    resumes = directory.has_run() if resume == "auto" else resume
    if not resumes:
        directory.check_free()
    training_split, validation_split = training_splits(config, data)
    config = resolved(config, training_split)
    with ExitStack() as stack:

        def lock() -> None:
            stack.callback(RunLock(directory.lock).release)
            if not resumes:
                directory.check_free()  # another run may have just been here

        # A directory that is not there yet is made once nothing is wrong with what goes into it.
        locks_early = directory.path.is_dir()
        if world.is_main and locks_early:
            lock()
        checkpoint = directory.read_checkpoint(config) if resumes else None
        run = _start(config, training_split, world, checkpoint, data)
        stack.callback(run.batches.close)
        if world.is_main:
            directory.path.mkdir(parents=True, exist_ok=True)
            if not locks_early:
                lock()
            remove_stale(directory.path)
            save_config(config, directory.config)
        return _finish(run, directory, training_split, validation_split, checkpoint, request)


@dataclass
class _Run:
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


def _start(
    config: Config,
    dataset: CocoDataset,
    world: World,
    checkpoint: Checkpoint | None,
    data: str | Path,
) -> _Run:
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
    return _Run(trainer, batches, steps, window, notes)


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


def _finish(
    run: _Run,
    directory: RunDirectory,
    training_split: CocoDataset,
    validation_split: CocoDataset,
    checkpoint: Checkpoint | None,
    request: StopRequest,
) -> dict[str, float]:
    """All epochs that are to come; returns the metrics of the best weights."""
    trainer, world, config = run.trainer, run.trainer.world, run.trainer.config
    # Older versions made their checkpoints after validation.
    validated = checkpoint is None or checkpoint.training.get("validated", True)
    log = RunLog(directory.path, world.is_main, trainer.step, trainer.model.loss_names, validated)
    _introduce(log, run, training_split, validation_split, checkpoint)
    is_last = checkpoint is not None and checkpoint.path == directory.last
    checkpoints = Checkpoints(
        directory, trainer, training_split.classes, run.steps, trainer.step if is_last else None
    )
    started = time.perf_counter()
    try:
        with request:
            if not validated and trainer.step == trainer.epoch * run.steps:
                _validate_if_due(trainer, validation_split, checkpoints, log, request)
            while trainer.epoch < config.train.epochs:
                _train_epoch(run, log, checkpoints, request)
                trainer.epoch += 1
                trainer.synchronize()
                checkpoints.save([])
                _validate_if_due(trainer, validation_split, checkpoints, log, request)
            checkpoints.wait()
    finally:
        with suppress(UserError):  # where it matters, it has been raised
            checkpoints.wait()
        log.close()
    if not world.is_main:
        return {}
    log.say(f"trained in {_duration(time.perf_counter() - started)}")
    best = load_weights(directory.best)
    _draw_sheet(best, validation_split, world, directory.sheet)
    numbers = "  ".join(f"{name}={shown_metric(best.metrics[name])}" for name in _BEST)
    log.say(f"best: {numbers}  ({directory.best})")
    return best.metrics


def _validate_if_due(
    trainer: Trainer,
    dataset: CocoDataset,
    checkpoints: Checkpoints,
    log: RunLog,
    request: StopRequest,
) -> None:
    """Evaluate after an epoch, where the recipe says so; the state before it is saved."""
    if not _is_evaluated(trainer.epoch, trainer.config):
        return
    metrics = _validate(trainer, dataset, log, request)
    if metrics is None:
        checkpoints.wait()
        raise RunStopped(checkpoints.directory.last, trainer.step)
    # Without an AP (-1) the latest weights are as good as any, but not the best.
    is_best = bool(metrics) and (metrics["AP"] > trainer.best or trainer.best < 0)
    if is_best and metrics["AP"] >= 0:
        trainer.best = metrics["AP"]
    if trainer.world.is_main:
        save_curves(log.records, checkpoints.directory.curves)
    checkpoints.save([], metrics, is_best)


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
    run: _Run,
    training_split: CocoDataset,
    validation_split: CocoDataset,
    checkpoint: Checkpoint | None,
) -> None:
    trainer = run.trainer
    config, world = trainer.config, trainer.world
    for dataset in (training_split, validation_split):
        counts = dataset.summary()
        log.say(
            f"{dataset.annotation_path.name}: {counts['images']} images, {counts['boxes']} boxes"
        )
        for note in dataset.notes:
            log.say(note)
    log.say(f"classes: {', '.join(training_split.classes)}")
    log.say(
        f"{config.recipe or 'network'}: {count_parameters(trainer.model):,} parameters, "
        f"{trainer.precision}, {world.size} process(es) on {world.device.type}, "
        f"{config.train.batch_size} images each per step"
    )
    if checkpoint is not None:
        done = trainer.step - trainer.epoch * run.steps
        within = f" and {done} of {run.steps} steps" if done else ""
        log.say(f"resuming {checkpoint.path} after epoch {trainer.epoch}{within}")
    for note in run.notes:
        log.say(note)


def _train_epoch(run: _Run, log: RunLog, checkpoints: Checkpoints, request: StopRequest) -> None:
    """The steps of an epoch that are to come.

    Raises:
        RunStopped: a signal asked for it; the state is saved.
    """
    trainer, steps = run.trainer, run.steps
    config = trainer.config.train
    title = f"epoch {trainer.epoch + 1}/{config.epochs}"
    done = trainer.step - trainer.epoch * steps
    timed = 0  # steps of the window, as the others' time is unknown
    waited = 0.0
    since = time.perf_counter()

    def requests() -> Requests:
        return Requests(request.received is not None, checkpoints.is_due())

    with log.epoch(title, steps, done) as advance:
        for step in range(done + 1, steps + 1):
            before = time.perf_counter()
            batch = next(run.batches)
            waited += time.perf_counter() - before
            trainer.requests = requests()
            run.window.append(trainer.train_step(batch, steps))
            timed += 1
            advance(f"loss {run.window[-1]['loss/total']:.3f}")
            if step % config.log_every == 0 or step == steps:
                seconds = time.perf_counter() - since
                record = _summary(trainer, run.window, timed, seconds, waited, step / steps)
                log.write("train", trainer.step, record)
                if not log.console.is_terminal or step == steps:
                    log.say(_train_line(title, step, steps, record))
                run.window, timed, waited, since = [], 0, 0.0, time.perf_counter()
            agreed = trainer.agreed if trainer.world.size > 1 else requests()
            if agreed.stop or agreed.checkpoint:
                checkpoints.save(run.window)
            if agreed.stop:
                checkpoints.wait()
                raise RunStopped(checkpoints.directory.last, trainer.step)
            checkpoints.check()


def _summary(
    trainer: Trainer,
    window: list[dict[str, float]],
    timed: int,
    seconds: float,
    waited: float,
    part: float,
) -> dict[str, Any]:
    """Means over the steps since the last line, joined over processes.

    Args:
        trainer: after these steps.
        window: what each step has logged.
        timed: how many of the steps took the `seconds`; the others were made before a stop.
        seconds: of these steps.
        waited: seconds of them that went by until batches came.
        part: of the epoch that is done.
    """
    names = list(window[0])
    means = torch.tensor([[item[name] for name in names] for item in window]).mean(0)
    if trainer.world.size > 1:
        means = means.to(trainer.world.device)
        torch.distributed.all_reduce(means)
        means /= trainer.world.size
    record: dict[str, Any] = {"epoch": round(trainer.epoch + part, 4)}
    record |= dict(zip(names, means.tolist(), strict=True))
    record["learning_rate"] = window[-1]["learning_rate"]
    images = timed * trainer.config.train.batch_size * trainer.world.size
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


class _Interrupted(Exception):
    """A signal has asked to stop during validation."""


def _validate(
    trainer: Trainer, dataset: CocoDataset, log: RunLog, request: StopRequest
) -> dict[str, float] | None:
    """Metrics on the validation split; empty in other processes than the first.

    Returns:
        None where a signal asked to stop; the same in all processes.
    """
    world = trainer.world
    left = len(range(world.rank, len(dataset), world.size))

    def check() -> None:
        """End all processes' validation where one is asked to; each calls this once, at its end."""
        stop = torch.full((1,), float(request.received is not None), device=world.device)
        if world.size > 1:
            torch.distributed.all_reduce(stop)
        if stop.item():
            raise _Interrupted

    with log.epoch("validation", left) as advance:

        def progress(images: int) -> None:
            nonlocal left
            for _ in range(images):
                advance("")
            left -= images
            if not left or request.received is not None:
                check()

        started = time.perf_counter()
        evaluation: Evaluation | None
        try:
            if not left:
                check()
            evaluation, _ = evaluate(
                trainer.inference_form(), dataset, trainer.config, world, progress
            )
        except _Interrupted:
            return None
    if evaluation is None:
        return {}
    seconds = time.perf_counter() - started
    log.write(
        "val",
        trainer.step,
        {"epoch": trainer.epoch, **evaluation.metrics, "seconds": round(seconds, 2)},
    )
    metrics = evaluation.metrics
    numbers = "  ".join(f"{name} {shown_metric(value)}" for name, value in metrics.items())
    log.say(f"epoch {trainer.epoch}/{trainer.config.train.epochs}  validation  {numbers}")
    return metrics


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
