"""A run that is killed at any moment and continued is the run that was not disturbed."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cornernet.data.synthetic import synthesize
from tests.train import crash


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(
        tmp_path_factory.mktemp("data") / "shapes", train=8, val=3, min_side=96, max_side=128
    )


@pytest.fixture(scope="module")
def undisturbed(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The directory of a run with a number of processes that nothing disturbs."""
    directory = tmp_path_factory.mktemp("undisturbed")

    def run(processes: int) -> Path:
        output = directory / str(processes)
        if not output.exists():
            statuses = crash.run(shapes, output, processes=processes)
            assert statuses == [0] * processes, crash.said(output)
        return output

    return run


MOMENTS: dict[str, tuple[Callable[..., None], tuple[Any, ...]]] = {
    "mid-epoch": (crash.at_step, (6, crash.kill_self, True)),
    "while writing": (crash.in_writing, (4,)),
    "while validating": (crash.in_validation, ()),
    "start": (crash.at_step, (0,)),
    "first step of an epoch": (crash.at_step, (4, crash.kill_self, True)),
    "before renaming": (crash.before_renaming, (4,)),
    "after validation": (crash.after_validation, ()),
}
QUICK = 3  # of them are tried without `stress`


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(moment, marks=[pytest.mark.stress] if number >= QUICK else [])
        for number, moment in enumerate(MOMENTS)
    ],
)
def test_a_killed_run_is_continued_bit_by_bit(
    shapes: Path, tmp_path: Path, undisturbed: Callable[[int], Path], moment: str
) -> None:
    prepare, arguments = MOMENTS[moment]
    output = tmp_path / "run"
    assert crash.run(shapes, output, prepare=prepare, arguments=arguments) == [-9]
    assert crash.run(shapes, output) == [0], crash.said(output)
    assert crash.differing(output, undisturbed(1)) == []
    if moment == "mid-epoch":
        assert "after epoch 1 and 2 of 4 steps" in crash.said(output)


def test_two_processes_are_continued_bit_by_bit(
    shapes: Path, tmp_path: Path, undisturbed: Callable[[int], Path]
) -> None:
    arguments = (6, crash.kill_self, True)
    crash.run(
        shapes, tmp_path / "run", processes=2,
        prepare=crash.at_step, arguments=arguments, prepared=[0],
    )  # fmt: skip
    assert crash.run(shapes, tmp_path / "run", processes=2) == [0, 0]
    assert "and 2 of 4 steps" in crash.said(tmp_path / "run")
    assert crash.differing(tmp_path / "run", undisturbed(2)) == []


@pytest.mark.stress
@pytest.mark.parametrize("processes", [1, 2])
def test_random_moments(
    shapes: Path, tmp_path: Path, undisturbed: Callable[[int], Path], processes: int
) -> None:
    """CORNERNET_CRASHES trials, from the seed CORNERNET_CRASH_SEED."""
    trials = int(os.environ.get("CORNERNET_CRASHES", "10"))
    draw = random.Random(int(os.environ.get("CORNERNET_CRASH_SEED", "0")) + processes)
    begun = time.monotonic()
    assert crash.run(shapes, tmp_path / "timed", processes=processes) == [0] * processes
    duration = time.monotonic() - begun
    kills = 0
    for trial in range(trials):
        output = tmp_path / f"run{trial}"
        for _ in range(2):
            started = crash.start(shapes, output, processes=processes)
            time.sleep(draw.uniform(0, duration))
            for process in draw.sample(started, len(started)):
                kills += process.exitcode is None
                process.kill()
            crash.finish(started)
        statuses = crash.run(shapes, output, processes=processes)
        assert statuses == [0] * processes, (trial, crash.said(output))
        assert crash.differing(output, undisturbed(processes)) == [], trial
    assert kills > trials * processes
