"""The training run: from a configuration and a dataset to weights."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Literal

from cornernet.config import Config, save_config
from cornernet.data.coco import CocoDataset
from cornernet.data.splits import training_splits
from cornernet.data.workers import explaining_workers
from cornernet.errors import UserError
from cornernet.inference.detect import detect
from cornernet.inference.evaluate import check_evaluator
from cornernet.model.detector import count_parameters
from cornernet.model.fuse import FusedDetector
from cornernet.report.curves import save_curves
from cornernet.report.panels import beside_truth
from cornernet.report.sheet import save_sheet
from cornernet.runtime.distributed import World, peers
from cornernet.runtime.files import remove_stale, write_json
from cornernet.runtime.text import shown_metric
from cornernet.train.checkpoints import Checkpoints
from cornernet.train.continuing import continued, facts
from cornernet.train.environment import record_environment
from cornernet.train.epoch import train_epoch
from cornernet.train.lock import RunLock
from cornernet.train.log import RunLog
from cornernet.train.run_directory import Checkpoint, RunDirectory
from cornernet.train.run_report import read_run, write_report
from cornernet.train.signals import RunStopped, StopRequest
from cornernet.train.sinks import check_services
from cornernet.train.start import Run, resolved, start
from cornernet.train.trainer import Trainer
from cornernet.train.validation import has_run_out, note_best, validate
from cornernet.weights.file import Weights, load_weights

# The numbers that are told about the best weights.
_BEST = ("AP", "AP50", "AP75")
_SHEET_IMAGES = 12


def train(
    config: Config,
    data: str | Path,
    output: str | Path,
    world: World,
    resume: bool | Literal["auto"] = False,
) -> dict[str, float]:
    """Train a detector and leave the run in a directory.

    The directory gets config.yaml, metrics.jsonl, last.pt (to resume from) and older checkpoints,
    best.pt (the weights of the best AP), curves.png, predictions.png and report.html. While the run
    lasts, a file `lock` in it names the process.

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
            is not finite, a file that cannot be written, or another process that does not answer.
        RunStopped: a signal asked for it.
    """
    request = StopRequest("TORCHELASTIC_RUN_ID" in os.environ)
    directory = RunDirectory(Path(output))
    resumes = directory.has_run() if resume == "auto" else resume
    if not resumes:
        directory.check_free()
    check_services(config.train.log_to)
    check_evaluator(config.test.evaluator)
    training_split, validation_split = training_splits(config, data)
    config = resolved(config, training_split)
    with peers(world, config.train.timeout_minutes), ExitStack() as stack:
        locks: list[RunLock] = []

        def lock() -> None:
            locks.append(RunLock(directory.lock))
            stack.callback(locks[0].release)
            if not resumes:
                directory.check_free()  # another run may have just been here

        # A directory that is not there yet is made once nothing is wrong with what goes into it.
        locks_early = directory.path.is_dir()
        if world.is_main and locks_early:
            lock()
        checkpoint = directory.read_checkpoint() if resumes else None
        config, notes = continued(config, checkpoint, world.size)
        run = start(config, training_split, world, checkpoint, data)
        stack.callback(run.batches.close)
        run.notes[:0] = notes
        if world.is_main:
            directory.path.mkdir(parents=True, exist_ok=True)
            if not locks_early:
                lock()
            remove_stale(directory.path)
            save_config(config, directory.config)
            record_environment(
                directory.environment, run.trainer.step, world, run.trainer.precision
            )
        stack.enter_context(explaining_workers(config.train.timeout_minutes))
        splits = (training_split, validation_split)
        return _finish(run, directory, splits, checkpoint, request, locks[0] if locks else None)


def _finish(
    run: Run,
    directory: RunDirectory,
    splits: tuple[CocoDataset, CocoDataset],
    checkpoint: Checkpoint | None,
    request: StopRequest,
    lock: RunLock | None,
) -> dict[str, float]:
    """All epochs that are to come; returns the metrics of the best weights."""
    trainer, world, config = run.trainer, run.trainer.world, run.trainer.config
    training_split, validation_split = splits
    # Older versions made their checkpoints after validation.
    validated = checkpoint is None or checkpoint.training.get("validated", True)
    log = RunLog(
        directory.path, world.is_main, trainer.step, trainer.model.loss_names, validated, config
    )
    _introduce(log, run, training_split, validation_split, checkpoint)
    is_last = checkpoint is not None and checkpoint.path == directory.last
    checkpoints = Checkpoints(
        directory,
        trainer,
        training_split.classes,
        facts(run.steps, checkpoint),
        lock,
        trainer.step if is_last else None,
    )
    started = time.perf_counter()
    try:
        with request:
            if not validated and trainer.step == trainer.epoch * run.steps:
                _validate_if_due(trainer, validation_split, checkpoints, log, request)
            while trainer.epoch < config.train.epochs and not has_run_out(trainer):
                train_epoch(run, log, checkpoints, request)
                trainer.epoch += 1
                trainer.synchronize()
                checkpoints.save([])
                _validate_if_due(trainer, validation_split, checkpoints, log, request)
            checkpoints.wait()
    finally:
        with suppress(UserError):  # where it matters, it has been raised
            checkpoints.wait()
        log.close(finished=trainer.epoch == config.train.epochs or has_run_out(trainer))
    if not world.is_main:
        return {}
    if trainer.epoch < config.train.epochs:
        log.say(
            f"stopped early after epoch {trainer.epoch} of {config.train.epochs}: AP has not risen "
            f"in {trainer.since_best} evaluations, train.patience is {config.train.patience}"
        )
    log.say(f"trained in {_duration(time.perf_counter() - started)}")
    best = load_weights(directory.best)
    _draw_sheet(best, validation_split, world, directory.sheet)
    write_report(read_run(directory.path), directory.report, held=False)
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
    validation = validate(trainer, dataset, log, request)
    if validation is None:
        checkpoints.wait()
        raise RunStopped(checkpoints.directory.last, trainer.step)
    metrics = validation.metrics
    is_best = note_best(trainer, metrics)
    if trainer.world.is_main:
        save_curves(log.records, checkpoints.directory.curves)
        if is_best and validation.review is not None:
            write_json(checkpoints.directory.evaluation, validation.review)
    checkpoints.save([], metrics, is_best, validation.thresholds)


def _is_evaluated(epoch: int, config: Config) -> bool:
    every = config.train.eval_every
    return epoch == config.train.epochs or (every > 0 and epoch % every == 0)


def _introduce(
    log: RunLog,
    run: Run,
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
        f"{config.train.batch_size} images in each step"
    )
    if checkpoint is not None:
        done = trainer.step - trainer.epoch * run.steps
        within = f" and {done} of {run.steps} steps" if done else ""
        log.say(f"resuming {checkpoint.path} after epoch {trainer.epoch}{within}")
    for note in run.notes:
        log.say(note)


def _draw_sheet(weights: Weights, dataset: CocoDataset, world: World, path: Path) -> None:
    """Objects beside detections on some images spread over the validation split."""
    model = FusedDetector(weights.build_model().to(world.device))
    count = min(_SHEET_IMAGES, len(dataset))
    images = []
    for number in range(count):
        place = number * len(dataset) // count
        try:
            sample = dataset.load(place)
        except UserError as error:
            dataset.faults.skip(error)
            continue
        found = detect(model, [sample.image], weights.config)[0]
        found = found.select(found.scores >= weights.thresholds.score)
        caption = f"{len(sample.boxes)} annotated, {len(found)} found"
        images.append(beside_truth(dataset, place, found, caption))
    save_sheet(images, path, columns=2, cell=660)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} h" if hours else f"{minutes}:{rest:02d} min"
