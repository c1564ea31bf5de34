"""How processes end: the signals that ask for it, and children that end with their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# They ask a run to stop: from a scheduler or torchrun, Ctrl-C, and from Slurm before a time limit.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

_PR_SET_PDEATHSIG = 1


def end_with_parent(by: signal.Signals = signal.SIGKILL) -> bool:
    """Let the system send this process a signal when its parent dies.

    To be called soon after the start: a parent that has died before is not noticed.

    Args:
        by: the signal.

    Returns:
        Whether the system can do so; Linux alone does.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        return ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(by), 0, 0, 0) == 0
    except (OSError, AttributeError):  # a system library without it
        return False


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM interrupt what is done inside as Ctrl-C does, so that it ends its files.

    Signals reach a program's main thread only; in others nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def start_time(process: int) -> int | None:
    """When a process started, in ticks since this host's boot; None where that is unknown.

    With it, another process that has been given the same id is told apart.
    """
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            # The program's name, in parentheses, may hold spaces.
            return int(file.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def is_alive(process: int) -> bool:
    """Whether this host runs a process of this id."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
