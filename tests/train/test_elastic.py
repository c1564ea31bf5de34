"""Runs under torchrun that lose a process: they start again, or end in time."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cornernet.data.synthetic import synthesize
from tests.train import crash
from tests.train.test_signals import descendants, started, train_command

LAUNCHER = [sys.executable, "-m", "torch.distributed.run"]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(
        tmp_path_factory.mktemp("data") / "shapes", train=8, val=3, min_side=96, max_side=128
    )


def stop_self() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def test_a_process_that_does_not_answer_ends_the_others(shapes: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    begun = time.monotonic()
    processes = crash.start(
        shapes, output, "--train.timeout_minutes=0.05", processes=2,
        prepare=crash.at_step, arguments=(2, stop_self), prepared=[1],
    )  # fmt: skip
    processes[0].join(60)
    assert processes[0].exitcode == 2, crash.said(output)
    assert time.monotonic() - begun < 60
    processes[1].kill()
    assert "had no answer from another one for 0.05 minutes (train.timeout_minutes)" in crash.said(
        output
    )


@pytest.mark.stress
def test_a_process_that_does_not_answer_in_validation(shapes: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    processes = crash.start(
        shapes, output, "--train.timeout_minutes=0.05", processes=2,
        prepare=crash.in_validation, arguments=(stop_self,), prepared=[1],
    )  # fmt: skip
    processes[0].join(60)
    assert processes[0].exitcode == 2, crash.said(output)
    processes[1].kill()
    assert "0.05 minutes (train.timeout_minutes)" in crash.said(output)


def words(shapes: Path, output: Path) -> list[str]:
    return train_command(
        shapes, output, "--train.epochs=6", "--data.workers=0", "--train.checkpoint_minutes=1e-6"
    )


@pytest.fixture(scope="module")
def undisturbed(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run of two processes that nothing disturbs."""
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    log = output.parent / "log.txt"
    command = [*LAUNCHER, "--standalone", "--nproc_per_node", "2", "-m", "cornernet"]
    assert started([*command, *words(shapes, output)], log).wait(200) == 0, log.read_text()
    return output


def wait_for(pattern: str, logs: list[Path], agents: list[subprocess.Popen[bytes]]) -> Path:
    """Wait until a log holds a text; returns that log."""
    deadline = time.monotonic() + 120
    while True:
        for log in logs:
            if re.search(pattern, log.read_text()):
                return log
        running = all(agent.poll() is None for agent in agents)
        assert running and time.monotonic() < deadline, [log.read_text() for log in logs]
        time.sleep(0.01)


@pytest.mark.stress
def test_a_killed_worker_is_started_again(shapes: Path, tmp_path: Path, undisturbed: Path) -> None:
    """CORNERNET_RESTARTS times, from the seed CORNERNET_CRASH_SEED: the result is bitwise."""
    draw = random.Random(int(os.environ.get("CORNERNET_CRASH_SEED", "0")))
    for trial in range(int(os.environ.get("CORNERNET_RESTARTS", "5"))):
        output, log = tmp_path / f"run{trial}", tmp_path / f"log{trial}.txt"
        command = [*LAUNCHER, "--standalone", "--nproc_per_node", "2", "--max-restarts", "1",
                   "-m", "cornernet", *words(shapes, output)]  # fmt: skip
        agent = started(command, log)
        epoch, step = draw.randrange(1, 6), draw.randrange(1, 5)
        wait_for(f"epoch {epoch}/6.*step {step}/4", [log], [agent])
        os.kill(draw.choice(descendants(agent.pid)), signal.SIGKILL)
        assert agent.wait(120) == 0, (trial, log.read_text())
        assert epoch == 1 or "resuming" in log.read_text(), trial
        assert crash.differing(output, undisturbed) == [], trial
        print(f"restart {trial + 1} recovered: {log.read_text().count('resuming')}", flush=True)


@pytest.mark.stress
@pytest.mark.parametrize("first", [True, False])
def test_a_killed_worker_of_one_of_two_nodes(
    shapes: Path, tmp_path: Path, undisturbed: Path, first: bool
) -> None:
    """Two agents, each of which counts its own restarts; rank 0 is killed, or the other one."""
    output = tmp_path / "run"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    logs = [tmp_path / f"log{number}.txt" for number in (0, 1)]
    command = [*LAUNCHER, "--nnodes", "2", "--nproc_per_node", "1", "--max-restarts", "2",
               "--rdzv_backend", "c10d", "--rdzv_endpoint", f"127.0.0.1:{port}", "--rdzv_id", "x",
               "-m", "cornernet", *words(shapes, output)]  # fmt: skip
    agents = [started(command, log) for log in logs]
    log = wait_for("epoch 2/6.*step 1/4", logs, agents)  # rank 0 alone says so
    victim = agents[logs.index(log) if first else 1 - logs.index(log)]
    (worker,) = descendants(victim.pid)
    os.kill(worker, signal.SIGKILL)
    for agent in agents:
        assert agent.wait(200) == 0, [log.read_text() for log in logs]
    assert any("resuming" in log.read_text() for log in logs)
    assert crash.differing(output, undisturbed) == []
