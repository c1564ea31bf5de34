"""A run that is killed at any moment and continued is the run that was not disturbed."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from functools import partial
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
            statuses = crash.run(shapes, output, *words(processes), processes=processes)
            assert statuses == [0] * processes, crash.said(output)
        return output

    return run


def words(processes: int) -> list[str]:
    """Each process needs an image of a step."""
    return ["--train.batch_size=3"] if processes == 3 else []


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


KINDS = ("start", "mid-epoch", "while writing", "while validating")


def kill(
    draw: random.Random, kind: str, duration: float, data: Path, output: Path, processes: int
) -> bool:
    """Start or continue a run and kill a process at a random moment of a kind; whether it was."""
    settings: dict[str, Any] = {"processes": processes, "prepared": [draw.randrange(processes)]}
    if kind == "start":
        started = crash.start(data, output, *words(processes), processes=processes)
        time.sleep(draw.uniform(0, 0.5 * duration))
        for process in draw.sample(started, processes):
            process.kill()
    elif kind == "mid-epoch":
        soon = partial(crash.kill_soon, draw.uniform(0, 0.1))
        arguments: tuple[Any, ...] = (draw.randrange(1, 9), soon, draw.random() < 0.5)
        started = crash.start(
            data, output, *words(processes), prepare=crash.at_step, arguments=arguments, **settings
        )
    elif kind == "while writing":
        settings["prepared"] = [0]
        arguments = (draw.randrange(1, 5), partial(crash.kill_soon, draw.uniform(0, 0.02)))
        started = crash.start(
            data,
            output,
            *words(processes),
            prepare=crash.at_writing,
            arguments=arguments,
            **settings,
        )
    else:
        arguments = (partial(crash.kill_soon, draw.uniform(0, 0.2)),)
        started = crash.start(
            data,
            output,
            *words(processes),
            prepare=crash.in_validation,
            arguments=arguments,
            **settings,
        )
    return any(status < 0 for status in crash.finish(started))


@pytest.mark.stress
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_random_moments(
    shapes: Path, tmp_path: Path, undisturbed: Callable[[int], Path], processes: int
) -> None:
    """CORNERNET_CRASHES trials, from the seed CORNERNET_CRASH_SEED; two kills in each.

    The first kill of every fourth trial is of the same kind, the second of any kind.
    """
    trials = int(os.environ.get("CORNERNET_CRASHES", "8"))
    draw = random.Random(int(os.environ.get("CORNERNET_CRASH_SEED", "0")) + processes)
    begun = time.monotonic()
    assert (
        crash.run(shapes, tmp_path / "timed", *words(processes), processes=processes)
        == [0] * processes
    )
    duration = time.monotonic() - begun
    kills = 0
    for trial in range(trials):
        output = tmp_path / f"run{trial}"
        for kind in (KINDS[trial % len(KINDS)], draw.choice(KINDS)):
            kills += kill(draw, kind, duration, shapes, output, processes)
        statuses = crash.run(shapes, output, *words(processes), processes=processes)
        assert statuses == [0] * processes, (trial, crash.said(output))
        assert crash.differing(output, undisturbed(processes)) == [], trial
        print(f"{processes} process(es): {trial + 1} bitwise, {kills} kills", flush=True)
    assert kills >= trials
