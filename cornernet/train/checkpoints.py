"""Checkpoints of a run, written while training goes on."""

from __future__ import annotations

import dataclasses
import os
import shutil
import threading
import time
from typing import Any

import torch
from torch import Tensor

from cornernet.errors import UserError
from cornernet.runtime.files import replacing
from cornernet.structures import NO_THRESHOLDS, Thresholds
from cornernet.train.lock import RunLock
from cornernet.train.run_directory import RunDirectory
from cornernet.train.trainer import Trainer
from cornernet.weights.file import Weights, save_weights


class Checkpoints:
    """Writes a run's checkpoints: the newest as last.pt, older ones under their steps.

    Training waits for the copy of the state to the host's memory; a thread writes it. last.pt is a
    whole file at every moment. torch's archive has a checksum (CRC-32) of every tensor and of
    everything else in it, which is compared when it is read.

    Args:
        directory: of the run.
        trainer: whose state is saved.
        classes: names by label.
        facts: what every checkpoint of the run says of it besides its state.
        lock: of the directory; None in a process that does not write there.
        last_step: of the checkpoint that is last.pt now; None where there is none, or a damaged
            one, which is not worth keeping.
    """

    def __init__(
        self,
        directory: RunDirectory,
        trainer: Trainer,
        classes: list[str],
        facts: dict[str, Any],
        lock: RunLock | None = None,
        last_step: int | None = None,
    ) -> None:
        self.directory = directory
        self._trainer = trainer
        self._classes = classes
        self._facts = facts
        self._lock = lock
        self._last_step = last_step
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._since = time.monotonic()

    def is_due(self) -> bool:
        """Whether this process wants a checkpoint: in the first one, after a time without any."""
        minutes = self._trainer.config.train.checkpoint_minutes
        writing = self._thread is not None and self._thread.is_alive()
        return (
            self._trainer.world.is_main
            and minutes > 0
            and not writing
            and time.monotonic() - self._since >= 60 * minutes
        )

    def save(
        self,
        window: list[dict[str, float]],
        metrics: dict[str, float] | None = None,
        is_best: bool = False,
        thresholds: Thresholds = NO_THRESHOLDS,
    ) -> None:
        """Save the state of all processes; every process calls it.

        Args:
            window: what the steps since the last line of the log have logged.
            metrics: of the validation after this step; None where there was none yet.
            is_best: write best.pt as well.
            thresholds: of the same validation.

        Raises:
            UserError: an earlier checkpoint could not be written.
        """
        trainer = self._trainer
        own = trainer.own_state()
        processes: list[Any] = [own]
        if trainer.world.size > 1:
            processes = [None] * trainer.world.size
            torch.distributed.all_gather_object(processes, own)
        if not trainer.world.is_main:
            return
        self.wait()
        weights = trainer.weights(self._classes, metrics or {}, thresholds)
        weights.training = trainer.state() | {
            **self._facts,
            "validated": metrics is not None,
            "window": window,
            "processes": processes,
        }
        weights = dataclasses.replace(
            weights, **_on_host({"state_dict": weights.state_dict, "training": weights.training})
        )
        step = trainer.step
        self._thread = threading.Thread(
            target=self._write, args=(weights, step, is_best), name="checkpoint"
        )
        self._thread.start()
        self._since = time.monotonic()

    def check(self) -> None:
        """Raise what has kept the writer from writing.

        Raises:
            UserError: such as a full disk, or that another process has taken the lock over.
        """
        if self._lock is not None:
            self._lock.check()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def wait(self) -> None:
        """Wait until what was saved is written.

        Raises:
            UserError: it could not be written.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()

    def _write(self, weights: Weights, step: int, is_best: bool) -> None:
        try:
            _share_memory_formats(weights)
            self.directory.path.mkdir(parents=True, exist_ok=True)  # somebody may have removed it
            if is_best:
                save_weights(dataclasses.replace(weights, training=None), self.directory.best)
            if self._last_step not in (None, step) and self.directory.last.is_file():
                self._keep_last()
            save_weights(weights, self.directory.last)
            self._last_step = step
            self._remove_old(step)
        except OSError as error:
            self._error = UserError(
                f"{self.directory.path}: expected to keep checkpoints here, got {error}; free some "
                "space, or check the directory"
            )
        except BaseException as error:  # is raised in the main thread
            self._error = error

    def _keep_last(self) -> None:
        """Give last.pt a second name, which it keeps when the next one takes its place."""
        assert self._last_step is not None
        if self._trainer.config.train.keep_checkpoints == 1:
            return
        older = self.directory.older(self._last_step)
        with replacing(older) as temporary:
            try:
                os.link(self.directory.last, temporary)
            except OSError:  # a file system without second names
                shutil.copyfile(self.directory.last, temporary)

    def _remove_old(self, step: int) -> None:
        kept = self._trainer.config.train.keep_checkpoints - 1
        steps = self.directory.older_steps()
        # Steps not yet done are of damaged files that the run did not go on from.
        earlier = [number for number in steps if number < step][:kept]
        for number in steps:
            if number not in earlier:
                self.directory.older(number).unlink(missing_ok=True)


def _share_memory_formats(weights: Weights) -> None:
    """Keep weights that learn and are also those to evaluate one tensor, in the file's format.

    A file's weights are contiguous; a network in channels_last would be written twice.
    """
    assert weights.training is not None
    learnt, evaluated = weights.training["model"], weights.state_dict
    for name, value in evaluated.items():
        if learnt.get(name) is value:
            learnt[name] = evaluated[name] = value.contiguous()


def _on_host(value: Any, copies: dict[Any, Tensor] | None = None) -> Any:
    """A copy of nested containers in which every tensor has memory of its own on the host.

    Tensors that share memory, such as the weights that are also those to evaluate, still do.
    """
    copies = {} if copies is None else copies
    if isinstance(value, Tensor):
        key = (value.data_ptr(), value.shape, value.stride(), value.dtype)
        if key not in copies or not value.numel():
            copies[key] = value.detach().to("cpu", copy=True)
        return copies[key]
    if isinstance(value, dict):
        return {key: _on_host(item, copies) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_on_host(item, copies) for item in value)
    return value
