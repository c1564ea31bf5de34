"""The steps of an epoch, and what is logged of them."""

from __future__ import annotations

import time
from typing import Any

import torch

from cornernet.errors import UserError
from cornernet.runtime.memory import peak_memory
from cornernet.train.checkpoints import Checkpoints
from cornernet.train.log import RunLog
from cornernet.train.run_directory import RunDirectory
from cornernet.train.signals import RunStopped, StopRequest
from cornernet.train.start import Run
from cornernet.train.trainer import SKIPPED_STEPS, NotFinite, Requests, Trainer
from cornernet.weights.file import save_atomically


def train_epoch(run: Run, log: RunLog, checkpoints: Checkpoints, request: StopRequest) -> None:
    """The steps of an epoch that are to come.

    Raises:
        RunStopped: a signal asked for it; the state is saved.
        UserError: a loss or a gradient is not finite; its batch is in the run's directory.
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
            try:
                run.window.append(trainer.train_step(batch, steps))
            except NotFinite as error:
                raise _with_batch(error, trainer, checkpoints.directory) from None
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


def _with_batch(error: NotFinite, trainer: Trainer, directory: RunDirectory) -> UserError:
    """The error, after its batch has been written where it can be looked at."""
    path = directory.failed_batch(trainer.world.rank)
    content = vars(error.batch) | {"epoch": trainer.epoch, "step": trainer.step}
    try:
        save_atomically(content, path)
    except UserError as unwritten:
        return UserError(f"{error}; the batch could not be kept: {unwritten}")
    return UserError(f"{error}; {path} holds the batch, to be read by torch.load")


def _summary(
    trainer: Trainer,
    window: list[dict[str, float]],
    timed: int,
    seconds: float,
    waited: float,
    part: float,
) -> dict[str, Any]:
    """Means over the steps since the last line.

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
    record: dict[str, Any] = {"epoch": round(trainer.epoch + part, 4)}
    record |= dict(zip(names, means.tolist(), strict=True))
    record["learning_rate"] = window[-1]["learning_rate"]
    if SKIPPED_STEPS in record:
        record[SKIPPED_STEPS] = round(record[SKIPPED_STEPS] * len(window))
    images = timed * trainer.config.train.batch_size
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
