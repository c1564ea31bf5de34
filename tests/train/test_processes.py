"""A run's result does not depend on the number of its processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cornernet.data.synthetic import synthesize
from cornernet.runtime.distributed import World
from cornernet.train.loop import train
from cornernet.train.trainer import Trainer
from cornernet.weights.file import load_weights
from tests.errors import raises
from tests.small import small_config
from tests.train import crash

CPU = World(torch.device("cpu"))
# Four images a step: shares of two processes are equal, those of three are not. Equal but for the
# order of sums in float32, which Adam's division enlarges step by step: so the steps are few.
WORDS = ("--train.batch_size=4", "--model.freeze_batch_norm=true", "--train.log_every=1",
         "--train.epochs=2")  # fmt: skip


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(
        tmp_path_factory.mktemp("data") / "shapes", train=8, val=3, min_side=96, max_side=128
    )


@pytest.fixture(scope="module")
def alone(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The directory of a run of one process with some settings."""
    directory = tmp_path_factory.mktemp("alone")

    def run(*words: str) -> Path:
        output = directory / "_".join(word.rpartition(".")[2] for word in words)
        if not output.exists():
            assert crash.run(shapes, output, *words) == [0], crash.said(output)
        return output

    return run


def assert_same_result(run: Path, wanted: Path, buffers: bool = True) -> None:
    """The weights of two runs and what they have logged, but for rounding."""
    found, expected = (load_weights(path / "last.pt") for path in (run, wanted))
    assert found.training is not None and expected.training is not None
    start = Trainer(expected.config, CPU).model
    learnt = dict(start.named_parameters())
    moved = 0
    for name, value in expected.training["model"].items():
        if name in learnt:
            moved += not torch.equal(value, learnt[name])
        if name in learnt or buffers:
            torch.testing.assert_close(
                found.training["model"][name], value, rtol=1e-3, atol=2e-5, msg=name
            )
    assert moved > 10  # the comparison is between weights that were trained

    def losses(path: Path) -> list[float]:
        return [line["loss/total"] for line in crash.records(path) if line["kind"] == "train"]

    assert losses(run) == pytest.approx(losses(wanted), rel=1e-4) and len(losses(run)) == 4


@pytest.mark.parametrize("processes", [pytest.param(2, marks=pytest.mark.stress), 3])
def test_processes_give_the_weights_of_one(
    shapes: Path, tmp_path: Path, alone: Callable[..., Path], processes: int
) -> None:
    output = tmp_path / "run"
    statuses = crash.run(shapes, output, *WORDS, processes=processes)
    assert statuses == [0] * processes, crash.said(output)
    assert_same_result(output, alone(*WORDS))


def test_whole_micro_batches_are_normalised_alike(
    shapes: Path, tmp_path: Path, alone: Callable[..., Path]
) -> None:
    """BatchNorm is not frozen; its running averages alone are of the first process's images."""
    words = (*WORDS, "--model.freeze_batch_norm=false", "--train.micro_batch=2")
    assert crash.run(shapes, tmp_path / "run", *words, processes=2) == [0, 0]
    assert_same_result(tmp_path / "run", alone(*words), buffers=False)


def test_a_run_goes_on_with_another_number_of_processes(
    shapes: Path, tmp_path: Path, alone: Callable[..., Path]
) -> None:
    output, words = tmp_path / "run", (*WORDS, "--train.log_every=2")
    at_third = {"prepare": crash.at_step, "arguments": (3, crash.kill_self, True), "prepared": [0]}
    crash.run(shapes, output, *words, processes=2, **at_third)
    assert crash.run(shapes, output, *words, processes=3) == [0, 0, 0], crash.said(output)
    text = crash.said(output)
    assert "after epoch 1 and 1 of 2 steps" in text
    assert "going on with 3 process(es) instead of 2; the result is the same but for" in text
    assert "BatchNorm" not in text  # it is frozen
    wanted = alone(*words)
    one, other = (load_weights(path / "last.pt").state_dict for path in (output, wanted))
    for name, value in other.items():
        torch.testing.assert_close(one[name], value, rtol=1e-3, atol=2e-5, msg=name)
    for found, expected in zip(crash.records(output), crash.records(wanted), strict=True):
        assert found.pop("kind") == expected.pop("kind")
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)


@pytest.mark.stress
def test_three_processes_are_continued_bit_by_bit(shapes: Path, tmp_path: Path) -> None:
    words = ("--train.batch_size=4", "--train.epochs=2")
    for name in ("whole", "parts"):
        output = tmp_path / name
        if name == "parts":
            crash.run(
                shapes, output, *words, processes=3, prepare=crash.at_step,
                arguments=(2, crash.kill_self, True), prepared=[1],
            )  # fmt: skip
        assert crash.run(shapes, output, *words, processes=3) == [0, 0, 0], crash.said(output)
    assert crash.differing(tmp_path / "parts", tmp_path / "whole") == []


def test_a_process_without_an_image_is_refused(shapes: Path, tmp_path: Path) -> None:
    config = small_config("--train.batch_size=2")
    with raises("number of processes, 3", "got 2", field="train.batch_size"):
        train(config, shapes, tmp_path / "run", World(torch.device("cpu"), 1, 3))
    assert not (tmp_path / "run").exists()


# --- runs of versions in which train.batch_size was the images of each process ---


def as_before(run: Path, processes: int, per_process: int) -> None:
    """Let a run of one process look as if an older version had made it."""
    for file in (run / "last.pt", *run.glob("checkpoint-*.pt")):
        content: dict[str, Any] = torch.load(file, weights_only=False)
        training, config = content["training"], content["config"]
        window = training.pop("window")
        training["processes"] = [training["processes"][0] | {"window": window}] * processes
        config["train"]["batch_size"] = per_process
        del config["version"], config["train"]["timeout_minutes"], training["micro_batch"]
        torch.save(content, file)


def test_an_old_run_keeps_the_images_of_its_steps(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was of two processes with two images each, and goes on with one that has four."""
    words = ("--train.epochs=2", "--train.batch_size=4")
    train(small_config(*words), shapes, tmp_path / "wanted", CPU)
    shutil.copytree(tmp_path / "wanted", tmp_path / "old")
    shutil.copy(tmp_path / "old" / "checkpoint-2.pt", tmp_path / "old" / "last.pt")
    as_before(tmp_path / "old", processes=2, per_process=2)
    capsys.readouterr()
    old_words = ("--train.epochs=2", "--train.batch_size=2")
    train(small_config(*old_words), shapes, tmp_path / "old", CPU, resume="auto")
    assert "2 on 2 process(es) are 4 together" in " ".join(capsys.readouterr().out.split())
    one, other = (load_weights(tmp_path / name / "last.pt") for name in ("old", "wanted"))
    assert crash.differences(dict(one.state_dict), dict(other.state_dict)) == []
    stored = load_weights(tmp_path / "old" / "last.pt")
    assert (stored.config.version, stored.config.train.batch_size) == (2, 4)
    # The command of old continues it again, and says nothing more.
    train(small_config(*old_words), shapes, tmp_path / "old", CPU, resume="auto")
    assert "together" not in capsys.readouterr().out
    train(small_config(*words), shapes, tmp_path / "old", CPU, resume="auto")
    with raises("train.batch_size: 4 → 3", field="resume"):
        train(
            small_config("--train.epochs=2", "--train.batch_size=3"),
            shapes, tmp_path / "old", CPU, resume="auto",
        )  # fmt: skip
