"""Faults of a run's surroundings: it ends in a sentence, and what was saved stays whole."""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import resource
import shutil
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch

from cornernet.data.coco import CocoDataset
from cornernet.data.synthetic import synthesize
from cornernet.errors import UserError
from cornernet.runtime.distributed import World
from cornernet.structures import Batch
from cornernet.train.checkpoints import Checkpoints
from cornernet.train.log import RunLog
from cornernet.train.loop import train
from cornernet.train.run_directory import RunDirectory
from cornernet.train.trainer import Trainer
from cornernet.weights.file import load_weights
from tests.errors import raises
from tests.small import small_config

CPU = World(torch.device("cpu"))


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("faults") / "shapes"
    return synthesize(root, train=4, val=2, min_side=64, max_side=64)


@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_a_batch_that_is_no_number_is_kept(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    backward = Trainer.backward

    def poisoned(self: Trainer, batch: Batch) -> torch.Tensor:
        losses = backward(self, batch)
        if self.step == 1:
            weight = next(self.model.parameters())
            assert weight.grad is not None
            (losses if broken == "loss" else weight.grad)[0] = math.nan
        return losses

    monkeypatch.setattr(Trainer, "backward", poisoned)
    run = tmp_path / "run"
    with raises("iteration 2", "nan", ".jpg", str(run / "failed-batch-0.pt")) as caught:
        train(small_config(), shapes, run, CPU)
    batch = torch.load(run / "failed-batch-0.pt")
    assert batch["images"].shape == (2, 3, 64, 64) and batch["step"] == 1
    assert all(path in str(caught.value) for path in batch["paths"])


def test_steps_that_overflow_are_counted(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backward = Trainer.backward

    def overflow(self: Trainer, batch: Batch) -> torch.Tensor:
        losses = backward(self, batch)
        for weight in self.model.parameters():
            assert weight.grad is not None
            weight.grad.fill_(math.inf if self.step in (0, 2) else 1.0)
        return losses

    monkeypatch.setattr(Trainer, "backward", overflow)
    words = ("--train.precision=fp16", "--train.log_every=4", "--train.epochs=2")
    train(small_config(*words), shapes, tmp_path / "run", CPU)
    log = RunLog(tmp_path / "run", True, 10**6)
    counts = [record["skipped_steps"] for record in log.records if record["kind"] == "train"]
    assert counts == [1, 1]  # of two steps an epoch


def limited(shapes: Path, output: Path, largest: int, sender: Connection) -> None:
    """Train where no file may be larger than some bytes, as on a disk that is nearly full."""
    # OpenMP's threads do not survive a fork, and a child that calls for them waits for ever.
    torch.set_num_threads(1)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    try:
        train(small_config("--train.epochs=2", "--train.eval_every=1"), shapes, output, CPU)
    except (UserError, OSError) as error:
        sender.send(str(error))
    except BaseException as error:
        sender.send(f"traceback: {error!r}")
    else:
        sender.send("")


@pytest.mark.parametrize("largest", [100, 1_000, 2_000, 20_000, 80_000])
def test_a_full_disk_leaves_nothing_half_written(
    shapes: Path, tmp_path: Path, largest: int
) -> None:
    output = tmp_path / "run"
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=limited, args=(shapes, output, largest, sender))
    process.start()
    try:
        sender.close()
        assert receiver.poll(60), "no answer"
        said = receiver.recv()
        process.join(60)
    finally:
        process.kill()
    assert said and not said.startswith("traceback") and "\n" not in said, said
    files = list(output.iterdir()) if output.is_dir() else []
    assert not [path for path in files if path.suffix == ".tmp" or path.name == "lock"]
    for path in files:
        if path.suffix == ".pt":
            load_weights(path)


def test_a_directory_that_was_removed_is_made_again(shapes: Path, tmp_path: Path) -> None:
    config = small_config()
    directory = RunDirectory(tmp_path / "run")
    directory.path.mkdir()
    dataset = CocoDataset(shapes, "train")
    log = RunLog(directory.path, True)
    log.write("train", 1, {"loss": 1.0})
    trainer = Trainer(_with_classes(config, len(dataset.classes)), CPU)
    checkpoints = Checkpoints(directory, trainer, dataset.classes, {"steps_per_epoch": 2})
    shutil.rmtree(directory.path)
    checkpoints.save([])
    checkpoints.wait()
    assert load_weights(directory.last).training is not None
    shutil.rmtree(directory.path)
    log.write("train", 2, {"loss": 0.5})
    assert [record["step"] for record in RunLog(directory.path, True, 10).records] == [1, 2]


def _with_classes(config: Any, number: int) -> Any:
    return dataclasses.replace(config, model=dataclasses.replace(config.model, num_classes=number))


def test_an_image_of_the_validation_split_can_be_skipped(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shutil.copytree(shapes, tmp_path / "data")
    victim = next(iter(sorted((data / "val").glob("*.jpg"))))
    victim.write_bytes(b"")
    words = ("--train.epochs=1", "--data.on_error=skip", "--data.max_skipped=0.5")
    with pytest.warns(UserWarning, match=f"{victim.name}.*1 of 2 images"):
        metrics = train(small_config(*words), data, tmp_path / "run", CPU)
    assert "AP" in metrics
    with raises(victim.name, "empty file"):
        train(small_config("--train.epochs=1"), data, tmp_path / "other", CPU)
    assert load_weights(tmp_path / "other" / "last.pt").training is not None
