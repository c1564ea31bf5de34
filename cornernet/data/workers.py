"""Processes that load images: how they start and end, and what they send."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.process import BaseProcess
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from cornernet.data.images import limit_image_size
from cornernet.errors import UserError
from cornernet.runtime.files import free_descriptors
from cornernet.runtime.processes import STOP_SIGNALS, end_with_parent
from cornernet.structures import Batch

# Seconds that a loader process outlives SIGTERM.
_TERM_SECONDS = 30
# Descriptors that a training takes for each loading process (two pipes and the process itself), and
# for itself: checkpoints, logs, connections, images.
_PER_WORKER, _FOR_ITSELF = 5, 24
# With fewer, batches go through pipes: a tensor in shared memory takes descriptors in two processes
# at least, and one that cannot be received ends the training.
_ENOUGH_TO_SHARE = 200

_OF_THE_WAIT = (RuntimeError, OSError, EOFError)
# How PyTorch's sentences begin.
_TIMED_OUT, _WORKER = "DataLoader timed out", "DataLoader worker"

_NO_SHARED_MEMORY = (
    "shared memory has no room for a batch, so batches go through pipes, which takes more time; "
    "make /dev/shm larger (Docker's shm-size), or lower data.workers"
)


@dataclass
class Parcel:
    """What a loading process sends: a batch, or why there is none.

    Attributes:
        batch: its lists hold arrays instead of tensors, and so does `images` where there is no
            shared memory: each tensor would take a file descriptor.
        remarks: about images that are used.
        errors: about images that could not be read; others are in their places.
    """

    batch: Any
    remarks: list[str] = field(default_factory=list)
    errors: list[UserError] = field(default_factory=list)

    def packed(self, share: bool) -> Parcel:
        """The same for the way to another process."""
        if self.batch is None:
            return self
        arrays = _converted(self.batch, Tensor, Tensor.numpy)
        if share:
            with suppress(RuntimeError, OSError):
                images = self.batch.images.share_memory_()
                return replace(self, batch=replace(arrays, images=images))
            self.remarks.append(_NO_SHARED_MEMORY)
        # As they lie in memory: the copy keeps the order.
        images = self.batch.images.permute(0, 2, 3, 1).numpy()
        return replace(self, batch=replace(arrays, images=images))

    def unpacked(self) -> Batch | None:
        """The batch as it was."""
        if self.batch is None:
            return None
        batch: Batch = _converted(self.batch, np.ndarray, torch.from_numpy)
        if isinstance(batch.images, np.ndarray):
            images = torch.from_numpy(batch.images).permute(0, 3, 1, 2)
            batch = replace(batch, images=images)
        return batch


def _converted(batch: Any, kind: type, convert: Any) -> Any:
    """A batch with other things in its lists."""
    lists = {
        name: [convert(item) if isinstance(item, kind) else item for item in value]
        for name, value in vars(batch).items()
        if isinstance(value, list)
    }
    return replace(batch, **lists)


def workers_that_fit(wanted: int) -> tuple[int, bool, str]:
    """How many loading processes the limit on open files allows.

    Returns:
        Their number, whether batches may go through shared memory, and what to say if there are
        fewer than wanted.
    """
    free = free_descriptors()
    if not wanted or free is None:
        return wanted, True, ""
    number = max(0, min(wanted, (free - _FOR_ITSELF) // _PER_WORKER))
    text = ""
    if number < wanted:
        text = (
            f"this process may open {free} more files, which is enough for {number} of "
            f"{wanted} loading processes; raise the limit (ulimit -n 4096)"
        )
    return number, free >= _ENOUGH_TO_SHARE, text


def start_worker(max_megapixels: int, _: int) -> None:
    """Prepare a loading process."""
    cv2.setNumThreads(0)
    limit_image_size(max_megapixels)  # where processes do not inherit it
    end_with_parent()
    # What a terminal or a scheduler sends to all processes is for the one that trains: it still
    # needs batches to finish its step. But SIGTERM also ends a loader that does not end by itself.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_TERM_SECONDS))
    signal.set_wakeup_fd(-1)


@contextmanager
def explaining_workers(timeout_minutes: float) -> Iterator[None]:
    """Turn what PyTorch raises when a loading process ends, or does not answer, into a sentence.

    PyTorch raises it in the main thread as soon as a process ends, wherever that is then.

    Args:
        timeout_minutes: how long a batch was waited for.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if text.startswith(_TIMED_OUT):
            message = (
                f"no batch of images came within {timeout_minutes:g} minutes, because a loading "
                "process was stopped or the storage does not answer; continue the run, with a "
                "larger train.timeout_minutes where images need more time"
            )
        elif text.startswith(_WORKER):
            message = (
                f"a loading process ended unexpectedly ({text.partition(chr(10))[0]}); the system "
                "ends one when the memory is full, or shared memory (Bus error): continue the run "
                "with fewer data.workers or a smaller train.batch_size, or give it more memory "
                "(Docker's memory and shm-size)"
            )
        elif "ancdata" in text or "Too many open files" in text:
            message = (
                "this process may not open enough files for batches in shared memory; raise the "
                "limit (ulimit -n 4096), or set data.workers to 0"
            )
        else:
            raise
        raise UserError(message) from None


class Watched:
    """The processes that are started inside: a wait for them ends, and they end at the exit.

    PyTorch's own time limit does not cover all of a wait: a process that is stopped in the middle
    of sending is waited for without end, there as well as at Python's exit.

    Args:
        seconds: how long a wait may take. When it is over, the processes are killed, which ends
            the wait with an error.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._before = {child.pid for child in multiprocessing.active_children()}
        self._since: float | None = None
        self._expired = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loader-watch", daemon=True)

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            self._close()
        except RuntimeError:  # PyTorch's handler was just about to report a process
            self._close()
        # What ends a wait is the death of a process, which PyTorch reports wherever it is then.
        if self._expired and isinstance(error, _OF_THE_WAIT):
            raise RuntimeError(_TIMED_OUT) from None

    def _close(self) -> None:
        """End the processes, which PyTorch shall not report."""
        in_main = threading.current_thread() is threading.main_thread()
        handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL) if in_main else None
        try:
            self._done.set()
            self._thread.join()
            for child in self._kill():
                child.join(_TERM_SECONDS)
        finally:
            if in_main:
                signal.signal(signal.SIGCHLD, handler)

    def next(self, parcels: Iterator[Parcel]) -> Parcel | None:
        """The next parcel; None at their end.

        Raises:
            RuntimeError: a process ended, or the wait took too long.
        """
        self._since = time.monotonic()
        try:
            return next(parcels, None)
        except (EOFError, ConnectionError):
            raise RuntimeError(f"{_WORKER} closed its connection") from None
        finally:
            self._since = None

    def _watch(self) -> None:
        while not self._done.wait(min(1.0, self._seconds)):
            since = self._since
            if since is not None and time.monotonic() - since > self._seconds:
                self._expired = True
                self._kill()

    def _kill(self) -> list[BaseProcess]:
        children = [
            child for child in multiprocessing.active_children() if child.pid not in self._before
        ]
        for child in children:
            child.kill()
        return children
