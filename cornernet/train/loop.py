"""The training run: from a configuration and a data folder to weights."""

from __future__ import annotations

import dataclasses
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from cornernet.config import Config, save_config
from cornernet.data.coco import CocoDataset
from cornernet.data.loader import training_batches
from cornernet.device import (
    World,
    autocast,
    grad_scaler,
    has_fused_optimizer,
    peak_memory,
    resolve_precision,
)
from cornernet.errors import UserError
from cornernet.evaluate import Evaluation, evaluate
from cornernet.losses import corner_counts, detection_losses
from cornernet.model.detector import PIXEL_MEAN, CornerDetector, count_parameters
from cornernet.model.weights import Weights, load_state, load_weights, save_weights
from cornernet.plots import draw_detections, save_curves, save_sheet
from cornernet.predict import detect
from cornernet.structures import Batch, Outputs
from cornernet.targets import build_targets
from cornernet.train.checkpoint import RunFolder
from cornernet.train.ema import WeightAverage
from cornernet.train.log import RunLog
from cornernet.train.schedule import learning_rate

LOSSES = ("total", "focal", "pull", "push", "offset")
_SHEET_PICTURES = 12
# A box that one strong corner alone could carry is left out.
_SHEET_SCORE = 0.4


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch on every device."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def build_optimizer(
    model: nn.Module, config: Config, device: torch.device
) -> torch.optim.Optimizer:
    """Adam; weight decay, where set, is decoupled and spares biases and normalisation."""
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {
            "params": [p for p in learnt if p.ndim > 1],
            "weight_decay": config.train.weight_decay,
        },
        {"params": [p for p in learnt if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.train.learning_rate,
        fused=has_fused_optimizer(device),
    )


def to_channels_last(module: nn.Module) -> None:
    """Lay out convolution weights as NHWC, in place."""
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


class Trainer:
    """The state of a run and one step of it.

    Args:
        config: with `model.num_classes` set.
        world: this process and its device.
    """

    def __init__(self, config: Config, world: World) -> None:
        seed_everything(config.train.seed)
        self.config = config
        self.world = world
        self.model = CornerDetector(config.model, config.model.num_classes).to(world.device)
        if config.train.channels_last:
            to_channels_last(self.model)
        self.average = (
            WeightAverage(self.model, config.train.ema_decay) if config.train.ema_decay else None
        )
        self.optimizer = build_optimizer(self.model, config, world.device)
        self.precision = resolve_precision(config.train.precision, world.device)
        self.scaler = grad_scaler(world.device, self.precision)
        self.epoch = 0  # epochs done
        self.step = 0  # steps done
        self.best = -math.inf  # best AP so far
        self.parallel: nn.Module = self.model
        if world.size > 1:
            self.parallel = DistributedDataParallel(self.model)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Forward pass of a batch on the device."""
        images = batch.images
        if self.config.train.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with autocast(self.world.device, self.precision):
            outputs: list[Outputs] = self.parallel(images)
        image_height, image_width = images.shape[-2:]
        map_height, map_width = outputs[-1].tl_heat.shape[-2:]
        targets = build_targets(
            batch.boxes,
            batch.labels,
            self.model.num_classes,
            (image_height, image_width),
            (map_height, map_width),
            self.config.loss.gaussian_iou,
        )
        counts = corner_counts(targets)
        if self.world.size > 1:
            torch.distributed.all_reduce(counts)
        return detection_losses(outputs, targets, self.config.loss, counts, self.world.size)

    def train_step(self, batch: Batch, steps_per_epoch: int) -> dict[str, float]:
        """One step of the optimiser.

        Returns:
            The losses, the gradient's norm before clipping and the learning rate.

        Raises:
            UserError: a loss or the gradient is not finite; the weights are left as they were.
        """
        rate = learning_rate(self.step, steps_per_epoch, self.config.train)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        losses = self.losses(batch.to(self.world.device))
        values = dict(
            zip(LOSSES, torch.stack([losses[name] for name in LOSSES]).tolist(), strict=True)
        )
        self._check_finite(values, batch)
        self.scaler.scale(losses["total"]).backward()
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(
            self.model.parameters(), self.config.train.clip_norm or math.inf
        )
        gradient = {"gradient": float(norm)}
        if not self.scaler.is_enabled():  # an active scaler skips such a step and scales less
            self._check_finite(gradient, batch)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update(self.model)
        self.step += 1
        record = {f"loss/{name}": value for name, value in values.items()}
        return {**record, "gradient_norm": gradient["gradient"], "learning_rate": rate}

    def _check_finite(self, values: dict[str, float], batch: Batch) -> None:
        bad = [f"{name} = {value}" for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise UserError(
                f"training stopped at iteration {self.step + 1}, epoch {self.epoch + 1}: expected "
                f"finite losses, got {', '.join(bad)} for the images {', '.join(batch.paths)}; "
                "lower train.learning_rate, look at these images, or use --train.precision fp32; "
                "last.pt holds the state after the last whole epoch"
            )

    @property
    def evaluated(self) -> CornerDetector:
        """The network that is evaluated and saved: the average where there is one."""
        return self.model if self.average is None else self.average.module

    def synchronize(self) -> None:
        """Give every process the first one's BatchNorm statistics, which differ by their data."""
        if self.world.size > 1:
            for module in {self.model, self.evaluated}:
                for buffer in module.buffers():
                    torch.distributed.broadcast(buffer, 0)

    def weights(self, classes: list[str], metrics: dict[str, float]) -> Weights:
        """What is worth keeping of the present state."""
        return Weights(self.evaluated.state_dict(), classes, self.config, metrics)

    def state(self) -> dict[str, Any]:
        """What is needed to continue, as tensors and plain data."""
        return {
            "model": self.model.state_dict(),
            "average_steps": self.average.steps if self.average is not None else 0,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "best": self.best,
            "random_state": torch.get_rng_state(),
        }

    def load(self, weights: Weights, source: str) -> None:
        """Take up the state of a checkpoint."""
        training = weights.training
        assert training is not None  # RunFolder.read_checkpoint has checked
        load_state(self.model, training["model"], source)
        if self.average is not None:
            load_state(self.average.module, weights.state_dict, source)
            self.average.steps = training["average_steps"]
        self.optimizer.load_state_dict(training["optimizer"])
        self.scaler.load_state_dict(training["scaler"])
        self.epoch, self.step = training["epoch"], training["step"]
        self.best = training["best"]
        torch.set_rng_state(training["random_state"])


def train(
    config: Config,
    data: str | Path,
    output: str | Path,
    world: World,
    resume: bool = False,
) -> dict[str, float]:
    """Train a detector and leave the run in a folder.

    The folder gets config.yaml, metrics.jsonl, last.pt (to resume from), best.pt (the weights of
    the best AP), curves.png and predictions.png.

    Args:
        config: the recipe with its overrides.
        data: a COCO folder.
        output: the run's folder; must not hold a run, unless `resume`.
        world: this process, its device and its peers.
        resume: continue the run in `output`.

    Returns:
        The metrics of the best weights.

    Raises:
        UserError: bad data, settings or folder, found before anything is written; or a loss that
            is not finite.
    """
    folder = RunFolder(Path(output))
    if not resume:
        folder.check_free()
    training_split, validation_split = _read_data(config, data)
    config = _with_classes(config, training_split)
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    checkpoint = folder.read_checkpoint(config) if resume else None
    if checkpoint is not None and checkpoint.classes != training_split.classes:
        raise UserError(
            f"--resume: expected the classes of the run, {checkpoint.classes}, found "
            f"{training_split.classes} in {data}; use the data the run was started with"
        )
    trainer = Trainer(config, world)
    if checkpoint is not None:
        trainer.load(checkpoint, str(folder.last))
    if world.is_main:
        folder.path.mkdir(parents=True, exist_ok=True)
        save_config(config, folder.config)
    log = RunLog(folder.path, world.is_main, trainer.step)
    _introduce(log, trainer, training_split, validation_split, folder)

    batches, steps = training_batches(
        training_split, config, PIXEL_MEAN, trainer.epoch, world.rank, world.size
    )
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
                    save_weights(weights, folder.best)
                save_weights(dataclasses.replace(weights, training=trainer.state()), folder.last)
                if metrics:
                    save_curves(log.records, folder.curves)
    finally:
        log.close()
    if not world.is_main:
        return {}
    log.say(f"trained in {_duration(time.perf_counter() - started)}")
    best = load_weights(folder.best)
    _draw_sheet(best, validation_split, world, folder.sheet)
    numbers = "  ".join(f"{name}={best.metrics[name]:.3f}" for name in ("AP", "AP50", "AP75"))
    log.say(f"best: {numbers}  ({folder.best})")
    return best.metrics


def _read_data(config: Config, data: str | Path) -> tuple[CocoDataset, CocoDataset]:
    training = CocoDataset(
        data,
        config.data.train_split,
        strict=config.data.strict,
        filter_empty=config.data.filter_empty,
        min_size=config.data.min_size,
    )
    validation = CocoDataset(
        data, config.data.val_split, strict=config.data.strict, classes=training.classes
    )
    return training, validation


def _with_classes(config: Config, dataset: CocoDataset) -> Config:
    number = len(dataset.classes)
    if config.model.num_classes not in (0, number):
        raise UserError(
            f"model.num_classes: expected {number}, the number of categories in "
            f"{dataset.annotation_path}, got {config.model.num_classes}; leave it at 0"
        )
    return dataclasses.replace(config, model=dataclasses.replace(config.model, num_classes=number))


def _is_evaluated(epoch: int, config: Config) -> bool:
    every = config.train.eval_every
    return epoch == config.train.epochs or (every > 0 and epoch % every == 0)


def _introduce(
    log: RunLog,
    trainer: Trainer,
    training_split: CocoDataset,
    validation_split: CocoDataset,
    folder: RunFolder,
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
        log.say(f"resuming {folder.last} after epoch {trainer.epoch}")


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
    losses = "  ".join(f"{name} {record[f'loss/{name}']:.3f}" for name in LOSSES)
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

        def progress(pictures: int) -> None:
            for _ in range(pictures):
                advance("")

        started = time.perf_counter()
        evaluation: Evaluation | None
        evaluation, _ = evaluate(
            trainer.evaluated,
            dataset,
            trainer.config,
            trainer.world,
            trainer.precision,
            progress,
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
    """Detections on some pictures spread over the validation split."""
    model = weights.build_model().to(world.device)
    count = min(_SHEET_PICTURES, len(dataset))
    pictures = []
    for number in range(count):
        sample = dataset.load(number * len(dataset) // count)
        found = detect(model, [sample.image], weights.config)[0]
        found = found.select(found.scores >= _SHEET_SCORE)
        zoom = max(1.0, 480 / max(sample.image.shape[:2]))
        name = f"{Path(sample.path).name}: {len(found)} found, {len(sample.boxes)} annotated"
        pictures.append((name, draw_detections(sample.image, found, weights.classes, zoom)))
    save_sheet(pictures, path, cell=480)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} h" if hours else f"{minutes}:{rest:02d} min"
