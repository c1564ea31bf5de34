"""A second of each fuzzer, always the same seeds first; and that the harness reports what it must.

`make fuzz SECONDS=600` runs them for longer, with other seeds each time.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz import harness
from tests.fuzz.harness import Target, fuzz
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_does_harm(name: str) -> None:
    report = fuzz(TARGETS[name], seconds=1.0)
    assert not report.findings, f"python -m tests.fuzz --target {name} --again SEED: " + "\n".join(
        f"{seed}: {text}" for seed, text in report.findings
    )
    assert report.inputs > 0


def _raise(random: np.random.Generator, _: Path) -> None:
    if random.random() < 0.5:
        raise KeyError("x")


def _die(_: np.random.Generator, __: Path) -> None:
    os.abort()


def _hang(_: np.random.Generator, __: Path) -> None:
    time.sleep(600)


def _fill(_: np.random.Generator, __: Path) -> None:
    bytearray(2 * harness.MEMORY)


@pytest.mark.parametrize(
    ("check", "word"),
    [(_raise, "KeyError"), (_die, "died"), (_hang, "no answer"), (_fill, "MemoryError")],
)
def test_findings_are_reported(check: object, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "SECONDS", 1.0)
    assert callable(check)
    report = fuzz(Target("bad", check), seconds=0.3)
    assert report.findings and report.inputs >= len(report.findings)
    assert all(word in text for _, text in report.findings)
