"""The validation after an epoch."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import torch

from cornernet.data.coco import CocoDataset
from cornernet.inference.evaluate import Evaluation, evaluate
from cornernet.inference.matching import match_split
from cornernet.inference.review import review
from cornernet.inference.thresholds import best_thresholds
from cornernet.runtime.text import shown_metric
from cornernet.structures import NO_THRESHOLDS, Thresholds
from cornernet.train.log import RunLog
from cornernet.train.signals import StopRequest
from cornernet.train.trainer import Trainer


class Validation(NamedTuple):
    """What a validation has found; empty in other processes than the first.

    Attributes:
        metrics: COCO's numbers.
        thresholds: scores at which F1 is highest.
        review: what a report shows of it; see `inference.review`.
    """

    metrics: dict[str, float]
    thresholds: Thresholds = NO_THRESHOLDS
    review: dict[str, Any] | None = None


class _Interrupted(Exception):
    """A signal has asked to stop during validation."""


def validate(
    trainer: Trainer, dataset: CocoDataset, log: RunLog, request: StopRequest
) -> Validation | None:
    """Evaluate on the validation split, in all processes together.

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
            evaluation, found = evaluate(
                trainer.inference_form(), dataset, trainer.config, world, progress
            )
        except _Interrupted:
            return None
    if evaluation is None:
        return Validation({})
    seconds = time.perf_counter() - started
    log.write(
        "val",
        trainer.step,
        {"epoch": trainer.epoch, **evaluation.metrics, "seconds": round(seconds, 2)},
    )
    metrics = evaluation.metrics
    numbers = "  ".join(f"{name} {shown_metric(value)}" for name, value in metrics.items())
    log.say(f"epoch {trainer.epoch}/{trainer.config.train.epochs}  validation  {numbers}")
    matches = match_split(dataset, found)
    thresholds = best_thresholds(matches, dataset.classes)
    reviewed = review(dataset, found, evaluation, matches, thresholds)
    position = {"step": trainer.step, "epoch": trainer.epoch}
    return Validation(metrics, thresholds, position | reviewed)


def note_best(trainer: Trainer, metrics: dict[str, float]) -> bool:
    """Take an evaluation into account; every process calls it.

    Args:
        trainer: whose best AP so far is updated.
        metrics: of the evaluation; empty in other processes than the first.

    Returns:
        In the first process whether the weights are the best so far; False in the others.
    """
    # Without an AP (-1) the latest weights are as good as any, but not the best.
    is_best = bool(metrics) and (metrics["AP"] > trainer.best or trainer.best < 0)
    if is_best and metrics["AP"] >= 0:
        trainer.best = metrics["AP"]
    since = torch.tensor([0 if is_best else trainer.since_best + 1], device=trainer.world.device)
    if trainer.world.size > 1:
        torch.distributed.broadcast(since, 0)  # all processes end with the same evaluation
    trainer.since_best = int(since.item())
    return is_best


def has_run_out(trainer: Trainer) -> bool:
    """Whether the run ends because AP has not risen in `train.patience` evaluations."""
    patience = trainer.config.train.patience
    return 0 < patience <= trainer.since_best
