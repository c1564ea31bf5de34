"""Signals: the first stops a run after its step with its state saved, the second ends it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cornernet.data.synthetic import synthesize
from cornernet.runtime.processes import is_alive, start_time
from cornernet.train.signals import StopRequest
from cornernet.weights.file import load_weights
from tests.train import crash

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(
        tmp_path_factory.mktemp("data") / "shapes", train=8, val=3, min_side=96, max_side=128
    )


def send_term() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.3)


def send_int() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.3)


def send_usr1() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)
    time.sleep(0.3)


def send_twice() -> None:
    send_term()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


@pytest.mark.parametrize(
    "send", [pytest.param(send_term, marks=pytest.mark.stress), send_int,
             pytest.param(send_usr1, marks=pytest.mark.stress)]
)  # fmt: skip
def test_a_signal_ends_a_run_after_its_step(
    shapes: Path, tmp_path: Path, send: Callable[[], None]
) -> None:
    output = tmp_path / "run"
    words = ["--train.checkpoint_minutes=0"]
    assert crash.run(shapes, output, *words, prepare=crash.at_step, arguments=(5, send)) == [75]
    training = load_weights(output / "last.pt").training
    assert training is not None and training["step"] == 6 and training["epoch"] == 1
    assert f"step 6; the state is in {output / 'last.pt'}" in crash.said(output)
    assert not (output / "lock").exists()


def test_a_stopped_run_is_continued_bit_by_bit(shapes: Path, tmp_path: Path) -> None:
    for name, stop in (("whole", None), ("parts", send_term)):
        output = tmp_path / name
        if stop is not None:
            crash.run(shapes, output, prepare=crash.at_step, arguments=(6, stop))
        assert crash.run(shapes, output) == [0], crash.said(output)
    assert crash.differing(tmp_path / "parts", tmp_path / "whole") == []


def test_a_signal_during_validation_ends_it(shapes: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    arguments = (send_term,)
    assert crash.run(shapes, output, prepare=crash.in_validation, arguments=arguments) == [75]
    training = load_weights(output / "last.pt").training
    assert training is not None and training["step"] == 8 and not training["validated"]


def test_a_second_signal_ends_a_run_at_once(shapes: Path, tmp_path: Path) -> None:
    begun = time.monotonic()
    status = crash.run(shapes, tmp_path / "run", prepare=crash.at_step, arguments=(5, send_twice))
    assert status == [128 + signal.SIGTERM] and time.monotonic() - begun < 50


def test_processes_agree_on_the_step(shapes: Path, tmp_path: Path) -> None:
    """One of two gets the signal; both stop after the same step, the first one saves."""
    output = tmp_path / "run"
    statuses = crash.run(
        shapes, output, "--train.checkpoint_minutes=0", processes=2,
        prepare=crash.at_step, arguments=(5, send_term), prepared=[1],
    )  # fmt: skip
    assert statuses == [75, 75]
    # The wish goes with the step that follows.
    assert [f"after step {7}" in crash.said(output, rank) for rank in (0, 1)] == [True, True]
    training = load_weights(output / "last.pt").training
    assert training is not None and training["step"] == 7 and len(training["processes"]) == 2


@pytest.mark.stress
def test_processes_agree_during_validation(shapes: Path, tmp_path: Path) -> None:
    statuses = crash.run(
        shapes, tmp_path / "run", processes=2,
        prepare=crash.in_validation, arguments=(send_term,), prepared=[1],
    )  # fmt: skip
    assert statuses == [75, 75]


@pytest.mark.parametrize("is_rank", [True, False])
def test_signals_of_scheduler_and_launcher_are_one_wish(
    monkeypatch: pytest.MonkeyPatch, is_rank: bool
) -> None:
    now = [100.0]
    ended: list[int] = []
    monkeypatch.setattr("cornernet.train.signals.end_with_parent", lambda *_: False)
    monkeypatch.setattr("cornernet.train.signals.time.monotonic", lambda: now[0])
    monkeypatch.setattr("cornernet.train.signals.os._exit", ended.append)
    request = StopRequest(is_rank)
    request._take(signal.SIGTERM)
    assert request.received == signal.SIGTERM and not ended
    now[0] += 1
    request._take(signal.SIGTERM)
    assert ended == ([] if is_rank else [128 + signal.SIGTERM])
    now[0] += 60
    request._take(signal.SIGTERM)
    assert ended[-1:] == [128 + signal.SIGTERM]


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with StopRequest() as request:
        assert request.received is None
        os.kill(os.getpid(), signal.SIGUSR1)
        deadline = time.monotonic() + 10
        while request.received is None and time.monotonic() < deadline:
            time.sleep(0.01)
    assert request.received == signal.SIGUSR1
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def train_command(shapes: Path, output: Path, *words: str) -> list[str]:
    return [
        "train", "tiny", "--data", str(shapes), "--output", str(output), "--device", "cpu",
        "--model.stage_channels=[8,8]", "--model.stage_blocks=[1,1]", "--augment.crop_size=64",
        "--model.feature_channels=8", "--model.pool_channels=8", "--model.head_channels=8",
        "--train.batch_size=2", "--train.epochs=500", "--train.eval_every=0",
        "--train.log_every=1", "--train.precision=fp32", *words, "--resume", "auto",
    ]  # fmt: skip


def started(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with open(log, "wb") as file:
        return subprocess.Popen(
            command, stdout=file, stderr=file, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )


def wait_for(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while text not in log.read_text():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def descendants(process: int) -> list[int]:
    """Ids of the processes below one."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        try:
            parents[int(entry.name)] = int(
                (entry / "stat").read_text().rpartition(")")[2].split()[1]
            )
        except (ValueError, OSError):
            continue
    found = [process]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found[1:]


def ended(processes: Sequence[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(is_alive(process) and not is_zombie(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_zombie(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_the_command_says_how_to_go_on_and_that_command_does(shapes: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    words = train_command(shapes, tmp_path / "my run", "--data.workers=1")
    process = started([sys.executable, "-m", "cornernet", *words], log)
    wait_for(log, "step 2/4", process)
    children = descendants(process.pid)
    assert len(children) == 1  # the loader process, which gets the signal of a whole group, too
    for one in (*children, process.pid):
        os.kill(one, signal.SIGTERM)
    assert process.wait(60) == 75, log.read_text()
    assert ended(children, 5)
    command = shlex.split(log.read_text().splitlines()[-1])
    assert command[0] == "cornernet" and command[-2:] == ["--resume", "auto"]
    process = started([sys.executable, "-m", *command], log)
    wait_for(log, "resuming", process)
    process.kill()
    process.wait()


def test_loader_processes_end_when_their_parent_is_killed(shapes: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    words = train_command(shapes, tmp_path / "run", "--data.workers=2")
    process = started([sys.executable, "-m", "cornernet", *words], log)
    wait_for(log, "step 2/4", process)
    children = descendants(process.pid)
    assert len(children) == 2
    process.kill()
    process.wait()
    assert ended(children, 1)


@pytest.mark.stress
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ranks_stop_with_their_launcher(shapes: Path, tmp_path: Path, number: int) -> None:
    """torchrun passes SIGTERM on; when it is killed, its ranks notice; they save in both cases."""
    log = tmp_path / "log.txt"
    words = train_command(shapes, tmp_path / "run", "--data.workers=1")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone",
                "--nproc_per_node", "2", "-m", "cornernet"]  # fmt: skip
    process = started([*launcher, *words], log)
    wait_for(log, "step 2/4", process)
    children = descendants(process.pid)
    assert len(children) == 4
    process.send_signal(number)
    process.wait(60)
    assert ended(children, 30)
    assert "torchrun --nproc_per_node 2 -m cornernet train tiny" in log.read_text()
    training = load_weights(tmp_path / "run" / "last.pt").training
    assert training is not None and f"after step {training['step']};" in log.read_text()


def test_start_times_tell_processes_apart() -> None:
    own = start_time(os.getpid())
    assert own is not None and own == start_time(os.getpid())
    assert start_time(2**22 + 1) is None
