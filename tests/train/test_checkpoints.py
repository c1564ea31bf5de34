"""Checkpoints: what is kept, what is found again among damaged files, what stops the writer."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import cornernet.train.checkpoints as checkpoints
from cornernet.config import with_overrides
from cornernet.data.synthetic import synthesize
from cornernet.errors import UserError
from cornernet.runtime.distributed import World
from cornernet.runtime.files import host_name, remove_stale, replacing
from cornernet.train.lock import RunLock
from cornernet.train.loop import train
from cornernet.train.run_directory import RunDirectory
from cornernet.train.trainer import Trainer
from cornernet.weights.file import Weights, load_weights
from tests.small import small_config
from tests.train import crash

CPU = World(torch.device("cpu"))


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(
        tmp_path_factory.mktemp("data") / "shapes", train=8, val=3, min_side=96, max_side=128
    )


@pytest.fixture(scope="module")
def finished(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs of four steps, with all its checkpoints."""
    output = tmp_path_factory.mktemp("finished") / "run"
    train(small_config("--train.epochs=2", "--train.keep_checkpoints=9"), shapes, output, CPU)
    return output


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def damage(file: Path, position: float = 0.5) -> None:
    content = bytearray(file.read_bytes())
    content[int(position * len(content))] ^= 1
    file.write_bytes(content)


def test_checkpoints_are_made_at_each_epoch_and_the_newest_are_kept(
    shapes: Path, tmp_path: Path
) -> None:
    words = ("--train.epochs=3", "--train.checkpoint_minutes=0")
    for kept, wanted in ((1, set()), (3, {"checkpoint-4.pt", "checkpoint-8.pt"})):
        output = tmp_path / str(kept)
        train(small_config(*words, f"--train.keep_checkpoints={kept}"), shapes, output, CPU)
        assert {path.name for path in output.glob("checkpoint-*")} == wanted
        assert load_weights(output / "last.pt").training["step"] == 12
        for name in wanted:
            step = int(name.removeprefix("checkpoint-").removesuffix(".pt"))
            assert load_weights(output / name).training["step"] == step


def test_checkpoints_are_made_when_minutes_are_over(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    original = checkpoints.Checkpoints.save

    def save(self: checkpoints.Checkpoints, *args: Any) -> None:
        saved.append(self._trainer.step)
        original(self, *args)
        self.wait()

    now = [0.0]
    step = Trainer.train_step

    def train_step(self: Trainer, *args: Any) -> dict[str, float]:
        now[0] += 30
        return step(self, *args)

    monkeypatch.setattr(checkpoints.Checkpoints, "save", save)
    monkeypatch.setattr(Trainer, "train_step", train_step)
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    words = ("--train.epochs=1", "--train.batch_size=1", "--train.checkpoint_minutes=1.4")
    train(small_config(*words), shapes, tmp_path / "run", CPU)
    assert saved == [3, 6, 8, 8]


def test_no_damage_goes_unnoticed(run: Path) -> None:
    """A bit of a tensor, of the plain data or of the archive's own: refused, or without effect."""
    whole = load_weights(run / "last.pt")
    noticed = 0
    for position in range(1, 80):
        shutil.copy(run / "last.pt", run / "damaged.pt")
        damage(run / "damaged.pt", position / 80)
        try:
            found = load_weights(run / "damaged.pt")
        except UserError:
            noticed += 1
        else:
            assert crash.differences(vars(found) | {"config": 0}, vars(whole) | {"config": 0}) == []
    assert noticed > 60


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(
    run: Path, shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = load_weights(run / "last.pt")
    damage(run / "last.pt")
    config = small_config("--train.epochs=2", "--train.keep_checkpoints=9")
    train(config, shapes, run, CPU, resume=True)
    text = capsys.readouterr().out
    assert f"{run / 'last.pt'}: " in text and f"going on from {run / 'checkpoint-4.pt'}" in text
    again = load_weights(run / "last.pt")
    assert crash.differences(again.training, wanted.training) == []
    # The damaged file is not kept as an older one.
    assert {path.name for path in run.glob("checkpoint-*")} == {"checkpoint-4.pt"}


def test_a_truncated_checkpoint_is_passed_over(run: Path, shapes: Path) -> None:
    os.truncate(run / "last.pt", 1000)
    found = RunDirectory(run).read_checkpoint()
    assert found is not None and found.path.name == "checkpoint-4.pt" and len(found.damaged) == 1


def test_a_missing_last_checkpoint_is_replaced_by_an_older_one(run: Path) -> None:
    (run / "last.pt").unlink()
    (run / "config.yaml").unlink()
    directory = RunDirectory(run)
    assert directory.has_run()
    found = directory.read_checkpoint()
    assert found is not None and found.training["step"] == 4


def test_damaged_checkpoints_alone_are_refused_by_name(run: Path, shapes: Path) -> None:
    for file in (run / "last.pt", run / "checkpoint-4.pt"):
        damage(file)
    with pytest.raises(UserError, match=r"last\.pt.*checkpoint-4\.pt") as error:
        train(small_config("--train.epochs=2"), shapes, run, CPU, resume=True)
    assert error.value.field == "resume"


def test_a_writer_that_fails_stops_the_run_with_a_sentence(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []

    def full(weights: Weights, path: Path) -> None:
        raise UserError(f"{path}: no space is left")

    def check(self: checkpoints.Checkpoints) -> None:
        steps.append(self._trainer.step)
        if self._thread is not None:
            self._thread.join()
        original(self)

    original = checkpoints.Checkpoints.check
    monkeypatch.setattr(checkpoints, "save_weights", full)
    monkeypatch.setattr(checkpoints.Checkpoints, "check", check)
    with pytest.raises(UserError, match=r"last\.pt: no space"):
        train(small_config("--train.checkpoint_minutes=1e-6"), shapes, tmp_path / "run", CPU)
    assert max(steps) == 1  # at the step that follows
    assert not (tmp_path / "run" / "lock").exists()


def test_training_goes_on_while_a_checkpoint_is_written(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first write does not end before four more steps are done; no second one begins."""
    original = checkpoints.save_weights
    stepped = threading.Event()
    writing: list[int] = []

    def slow(weights: Weights, path: Path) -> None:
        writing.append(threading.active_count())
        assert stepped.wait(60)
        original(weights, path)

    step = Trainer.train_step

    def train_step(self: Any, *args: Any) -> Any:
        if self.step == 5:
            assert len(writing) == 1
            stepped.set()
        return step(self, *args)

    monkeypatch.setattr(checkpoints, "save_weights", slow)
    monkeypatch.setattr(Trainer, "train_step", train_step)
    words = ("--train.epochs=1", "--train.batch_size=1", "--train.checkpoint_minutes=1e-6")
    train(small_config(*words), shapes, tmp_path / "run", CPU)
    assert stepped.is_set()


def test_the_state_is_copied_before_training_goes_on() -> None:
    weight = torch.arange(6.0).reshape(2, 3)
    state = {"model": {"w": weight}, "evaluated": [weight.t().t()], "group": ({"lr": 0.1},)}
    copy = checkpoints._on_host(state)
    weight.zero_()
    assert copy["model"]["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert copy["evaluated"][0].data_ptr() == copy["model"]["w"].data_ptr()  # written once
    assert copy["group"] == ({"lr": 0.1},)


def test_weights_without_an_average_are_written_once(shapes: Path, tmp_path: Path) -> None:
    words = ("--train.epochs=1", "--train.ema_decay=0", "--train.channels_last=true")
    train(small_config(*words), shapes, tmp_path / "run", CPU)
    content = torch.load(tmp_path / "run" / "last.pt", weights_only=False)
    for name, value in content["state_dict"].items():
        assert value.data_ptr() == content["training"]["model"][name].data_ptr(), name


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_temporary_files_of_dead_processes_are_removed(tmp_path: Path) -> None:
    dead, host = dead_process(), host_name()
    stale = {f".last.pt.{host}.{dead}.tmp", f".best.pt.{host}.{os.getpid()}.tmp"}
    others = {
        f".last.pt.{host}.{os.getppid()}.tmp", f".last.pt.other-{host}.{dead}.tmp", "notes.tmp",
        f"last.pt.{host}.{dead}.tmp",
    }  # fmt: skip
    abandoned = f".best.pt.other-{host}.{dead}.tmp"
    stale.add(abandoned)
    for name in stale | others:
        (tmp_path / name).write_text("")
    os.utime(tmp_path / abandoned, (time.time() - 4000,) * 2)
    assert set(remove_stale(tmp_path)) == stale
    assert {path.name for path in tmp_path.iterdir()} == others


def test_a_writers_temporary_file_is_one_that_is_found_again(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.json") as temporary:
        temporary.write_text("1")
        left = shutil.copy(temporary, tmp_path / "kept")
        name = temporary.name
    shutil.move(left, tmp_path / name)
    assert remove_stale(tmp_path) == [name]


# --- which settings a run may go on with ---


def test_settings_that_change_no_result_may_change(run: Path, shapes: Path) -> None:
    free = (
        "--data.workers=1", "--train.log_every=2", "--train.checkpoint_minutes=3",
        "--train.keep_checkpoints=5", "--train.checkpoint_activations=true", "--train.init=x.pt",
    )  # fmt: skip
    train(small_config("--train.epochs=2", *free), shapes, run, CPU, resume=True)


def test_each_refused_change_is_listed_with_both_values(run: Path, shapes: Path) -> None:
    changes = ("--train.epochs=1", "--train.batch_size=3", "--loss.push_weight=0.5")
    with pytest.raises(UserError) as error:
        train(small_config("--train.epochs=2", *changes), shapes, run, CPU, resume="auto")
    for change in ("epochs: 2 → 1", "batch_size: 2 → 3", "push_weight: 0.1 → 0.5"):
        assert change in str(error.value)


@pytest.mark.parametrize("schedule", ["step", "cosine"])
def test_epochs_may_be_raised(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], schedule: str
) -> None:
    words = ("--train.eval_every=1", f"--train.schedule={schedule}")
    short, long = (small_config(f"--train.epochs={n}", *words) for n in (2, 3))
    train(short, shapes, tmp_path / "raised", CPU, resume="auto")
    capsys.readouterr()
    train(long, shapes, tmp_path / "raised", CPU, resume="auto")
    note = next(
        line for line in capsys.readouterr().out.splitlines() if "raised from 2 to 3" in line
    )
    train(long, shapes, tmp_path / "long", CPU)
    if schedule == "step":
        assert "same schedule" in note
        assert crash.differing(tmp_path / "raised", tmp_path / "long") == []
    else:
        rates = [record.get("learning_rate") for record in crash.records(tmp_path / "raised")]
        rates = [rate for rate in rates if rate is not None]
        assert f"{rates[8]:.3g} at the next step" in note
        ends = [record["learning_rate"] for record in crash.records(tmp_path / "long")
                if record["kind"] == "train"]  # fmt: skip
        assert rates[8:] == ends[8:] and rates[:8] != ends[:8]


def test_a_finished_run_is_not_validated_again(
    run: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = crash.records(run)
    monkeypatch.setattr("cornernet.train.validation.evaluate", None)
    train(small_config("--train.epochs=2"), shapes, run, CPU, resume="auto")
    assert crash.records(run) == before


def test_a_checkpoint_of_an_older_version_is_continued(run: Path, shapes: Path) -> None:
    """Older versions saved at the end of epochs, after validation, without these keys."""
    wanted = load_weights(run / "last.pt")
    content = torch.load(run / "checkpoint-4.pt", weights_only=False)
    for key in ("processes", "steps_per_epoch", "validated", "window", "micro_batch"):
        del content["training"][key]
    for key in ("checkpoint_minutes", "keep_checkpoints", "timeout_minutes"):
        del content["config"]["train"][key]
    del content["config"]["version"]
    torch.save(content, run / "last.pt")
    (run / "checkpoint-4.pt").unlink()
    train(small_config("--train.epochs=2"), shapes, run, CPU, resume=True)
    again = load_weights(run / "last.pt")
    assert crash.differences(dict(again.state_dict), dict(wanted.state_dict)) == []


# --- the lock ---


def write_lock(run: Path, **changes: Any) -> None:
    owner = {"host": socket.gethostname(), "pid": dead_process(), "started": "today"}
    (run / "lock").write_text(json.dumps(owner | changes))


def test_a_second_writer_is_refused_and_the_first_one_goes_on(shapes: Path, tmp_path: Path) -> None:
    started = crash.start(shapes, tmp_path / "run", prepare=crash.at_step, arguments=(5, pause))
    while "step 4/4" not in crash.said(tmp_path / "run"):
        assert started[0].is_alive()
        time.sleep(0.05)
    for resume in (True, "auto"):
        with pytest.raises(UserError, match=f"process {started[0].pid} on .* started") as error:
            train(small_config(), shapes, tmp_path / "run", CPU, resume=resume)
        assert error.value.field == "output"
    assert crash.finish(started) == [0]


def pause() -> None:
    time.sleep(4)


def test_a_lock_of_a_dead_process_of_this_host_is_taken_over(run: Path, shapes: Path) -> None:
    write_lock(run)
    train(small_config("--train.epochs=2"), shapes, run, CPU, resume="auto")
    assert not (run / "lock").exists()


def test_a_lock_of_another_host_is_refused_with_what_to_do(run: Path, shapes: Path) -> None:
    write_lock(run, host="elsewhere")
    with pytest.raises(UserError, match=r"on elsewhere.*delete .*lock"):
        train(small_config("--train.epochs=2"), shapes, run, CPU, resume="auto")
    assert (run / "lock").exists()


def test_a_silent_lock_of_another_host_is_taken_over(
    run: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a machine that is gone: a container that was killed and started elsewhere."""
    monkeypatch.setattr("cornernet.train.lock.SILENCE_SECONDS", 0.3)
    write_lock(run, host="elsewhere", beat=5)
    with pytest.warns(UserWarning, match="on elsewhere; waiting 0.3 seconds"):
        train(small_config("--train.epochs=2"), shapes, run, CPU, resume="auto")
    assert not (run / "lock").exists()


def test_a_lock_of_another_host_that_beats_is_refused(
    run: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cornernet.train.lock.SILENCE_SECONDS", 5.0)
    beats = itertools.count()
    sleep = time.sleep

    def beat(seconds: float) -> None:
        write_lock(run, host="elsewhere", beat=next(beats))
        sleep(0.01)

    write_lock(run, host="elsewhere", beat=-1)
    monkeypatch.setattr("cornernet.train.lock.time.sleep", beat)
    with (
        pytest.warns(UserWarning),
        pytest.raises(UserError, match="on elsewhere.*wait until it ends") as error,
    ):
        train(small_config("--train.epochs=2"), shapes, run, CPU, resume="auto")
    assert error.value.field == "output" and (run / "lock").exists()


def test_a_lock_beats_and_says_when_another_process_has_taken_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cornernet.train.lock.BEAT_SECONDS", 0.02)
    lock = RunLock(tmp_path / "lock")
    seen: set[str] = set()
    deadline = time.monotonic() + 20
    while len(seen) < 3 and time.monotonic() < deadline:
        seen.add((tmp_path / "lock").read_text())
    assert len({json.loads(text)["beat"] for text in seen if text}) >= 2
    lock.check()
    write_lock(tmp_path, host="elsewhere", beat=0)
    while lock._thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(UserError, match="taken over by another process"):
        lock.check()
    lock.release()
    assert "elsewhere" in (tmp_path / "lock").read_text()  # it is the other's file


def test_a_run_whose_lock_is_taken_ends(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(self: RunLock) -> None:
        raise UserError("taken over", field="output")

    monkeypatch.setattr(RunLock, "check", taken)
    with pytest.raises(UserError, match="taken over"):
        train(small_config(), shapes, tmp_path / "run", CPU)


def test_a_lock_cut_short_by_a_crash_is_taken_over(run: Path, shapes: Path) -> None:
    (run / "lock").write_text('{"host": "els')
    train(small_config("--train.epochs=2"), shapes, run, CPU, resume="auto")


def test_where_locks_are_not_supported_the_process_decides(
    run: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cornernet.runtime.processes import start_time

    def unsupported(*_: object) -> None:
        raise OSError(38, "not supported")

    monkeypatch.setattr("cornernet.train.lock.fcntl.lockf", unsupported)
    config = small_config("--train.epochs=2")
    parent = os.getppid()
    write_lock(run, pid=parent, start_time=start_time(parent))
    with pytest.raises(UserError, match=f"process {parent}"):
        train(config, shapes, run, CPU, resume="auto")
    write_lock(run, pid=parent, start_time=1)  # another process had this id
    train(config, shapes, run, CPU, resume="auto")


def test_auto_does_not_write_over_what_is_not_a_run(shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"precious")
    config = with_overrides(small_config(), [])
    with pytest.raises(UserError, match=r"best\.pt"):
        train(config, shapes, tmp_path, CPU, resume="auto")
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"]
