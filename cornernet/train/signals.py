"""Signals that ask a run to stop: the first lets it save its state, the second ends it."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from cornernet.runtime.processes import STOP_SIGNALS, end_with_parent

# Seconds that a rank whose launcher has died gets to save its state: its peers may be dead, too.
_ORPHAN_SECONDS = 60.0
# Within this time of the first signal, another one is the same wish: a scheduler may signal all
# processes of a job, and torchrun, which is one of them, passes its own on.
_SAME_WISH_SECONDS = 3.0


class RunStopped(Exception):
    """A run has ended because a signal asked it to; its state is saved.

    Args:
        checkpoint: where.
        step: steps that are done.
    """

    def __init__(self, checkpoint: Path, step: int) -> None:
        super().__init__(f"stopped by a signal after step {step}; the state is in {checkpoint}")
        self.checkpoint = checkpoint
        self.step = step


class StopRequest:
    """A context in which signals ask for a stop instead of ending the process.

    A second signal ends the process at once, even where it waits for a peer that does not answer:
    a thread of its own looks out for signals, since Python's handlers wait for the main thread.

    Signals reach a program's main thread only; in others nothing is changed.

    Args:
        is_rank: whether a launcher like torchrun started this process. Its death is then a signal,
            too, and `_ORPHAN_SECONDS` later the process ends. Outside the context it ends the
            process at once.

    Attributes:
        received: the first signal; None before it.
    """

    def __init__(self, is_rank: bool = False) -> None:
        if is_rank:
            end_with_parent()
        self.received: signal.Signals | None = None
        self._received_at = 0.0
        self._is_rank = is_rank
        self._parent = os.getppid()
        self._installed = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> StopRequest:
        if not self._installed:
            return self
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._old_handlers: dict[int, Any] = {
            number: signal.signal(number, lambda *_: None) for number in STOP_SIGNALS
        }
        self._old_wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._watcher = threading.Thread(target=self._watch, name="signals", daemon=True)
        self._watcher.start()
        if self._is_rank:
            end_with_parent(signal.SIGTERM)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._installed:
            return
        if self._is_rank:
            end_with_parent()
        signal.set_wakeup_fd(self._old_wakeup)
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        os.write(self._write, b"\0")  # no signal has this number
        self._watcher.join()
        os.close(self._read)
        os.close(self._write)

    def _watch(self) -> None:
        while True:
            orphaned = self._is_rank and os.getppid() != self._parent
            patience = _ORPHAN_SECONDS if orphaned and self.received is not None else None
            ready, _, _ = select.select([self._read], [], [], patience)
            if not ready:
                os._exit(128 + signal.SIGTERM)
            for number in os.read(self._read, 1):
                if number == 0:
                    return
                if number in STOP_SIGNALS:
                    self._take(signal.Signals(number))

    def _take(self, number: signal.Signals) -> None:
        # The launcher's death comes behind what killed it, and is not a wish to end at once.
        orphaned = self._is_rank and os.getppid() != self._parent
        now = time.monotonic()
        same_wish = self._is_rank and now - self._received_at < _SAME_WISH_SECONDS
        if self.received is None:
            self._received_at = now
            self.received = number
        elif not (orphaned or same_wish):
            os._exit(128 + number)
