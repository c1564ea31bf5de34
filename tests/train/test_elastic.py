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


def kill_a_worker(agent: subprocess.Popen[bytes], log: Path, draw: random.Random) -> None:
    """Kill a process of an agent once the run has made a step that is drawn."""
    step = f"step {draw.randrange(1, 5)}/4"
    epoch = f"epoch {draw.randrange(1, 5)}/6"
    deadline = time.monotonic() + 120
    while not re.search(f"{epoch}.*{step}", log.read_text()):
        assert agent.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)
    os.kill(draw.choice(descendants(agent.pid)), signal.SIGKILL)


@pytest.mark.stress
def test_a_killed_worker_is_started_again(shapes: Path, tmp_path: Path, undisturbed: Path) -> None:
    """CORNERNET_RESTARTS times, from the seed CORNERNET_CRASH_SEED: the result is bitwise."""
    draw = random.Random(int(os.environ.get("CORNERNET_CRASH_SEED", "0")))
    for trial in range(int(os.environ.get("CORNERNET_RESTARTS", "5"))):
        output, log = tmp_path / f"run{trial}", tmp_path / f"log{trial}.txt"
        command = [*LAUNCHER, "--standalone", "--nproc_per_node", "2", "--max-restarts", "1",
                   "-m", "cornernet", *words(shapes, output)]  # fmt: skip
        agent = started(command, log)
        kill_a_worker(agent, log, draw)
        assert agent.wait(120) == 0, (trial, log.read_text())
        assert "resuming" in log.read_text(), trial
        assert crash.differing(output, undisturbed) == [], trial
        print(f"restart {trial + 1} recovered", flush=True)


@pytest.mark.stress
@pytest.mark.parametrize("node", [0, 1])
def test_a_killed_worker_of_one_of_two_nodes(
    shapes: Path, tmp_path: Path, undisturbed: Path, node: int
) -> None:
    """Two agents, each of which counts its own restarts; the file shows what rank 0 says."""
    output = tmp_path / "run"
    draw = random.Random(node)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    logs = [tmp_path / f"log{number}.txt" for number in (0, 1)]
    command = [*LAUNCHER, "--nnodes", "2", "--nproc_per_node", "1", "--max-restarts", "2",
               "--rdzv_backend", "c10d", "--rdzv_endpoint", f"127.0.0.1:{port}", "--rdzv_id", "x",
               "-m", "cornernet", *words(shapes, output)]  # fmt: skip
    agents = [started(command, log) for log in logs]
    first = 0
    deadline = time.monotonic() + 120
    while not any("step 1/4" in log.read_text() for log in logs):
        assert time.monotonic() < deadline, [log.read_text() for log in logs]
        time.sleep(0.05)
    first = next(number for number, log in enumerate(logs) if "step 1/4" in log.read_text())
    victim = agents[first if node == 0 else 1 - first]
    os.kill(draw.choice(descendants(victim.pid)), signal.SIGKILL)
    for agent in agents:
        assert agent.wait(200) == 0, [log.read_text() for log in logs]
    assert any("resuming" in log.read_text() for log in logs)
    assert crash.differing(output, undisturbed) == []
