"""Signals that end a process."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from cornernet.runtime.processes import terminated_as_interrupted


def test_sigterm_interrupts_as_ctrl_c_does_and_then_no_longer() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminated_as_interrupted():
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("went on")
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_change_nothing() -> None:
    inside = []

    def work() -> None:
        with terminated_as_interrupted():
            inside.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [signal.getsignal(signal.SIGTERM)]
