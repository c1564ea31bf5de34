"""A run ends when AP has not risen for a number of evaluations, also when it was continued."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cornernet.config import with_overrides
from cornernet.data.synthetic import synthesize
from cornernet.runtime.distributed import World
from cornernet.train import loop
from cornernet.train.loop import train
from cornernet.train.trainer import Trainer
from cornernet.train.validation import Validation
from cornernet.weights.file import load_weights
from tests.small import small_config

CPU = World(torch.device("cpu"))
APS = [0.2, 0.4, 0.3, 0.4, 0.5, 0.5]  # of the epochs: an equal one is no improvement
WORDS = ("--train.epochs", "6", "--train.eval_every", "1", "--train.patience", "2")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(
        tmp_path_factory.mktemp("data") / "shapes", train=2, val=1, min_side=64, max_side=64
    )


@pytest.fixture(autouse=True)
def known_aps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def validate(trainer: Trainer, *_: object) -> Validation:
        metrics = dict.fromkeys(("AP50", "AP75"), 0.0) | {"AP": APS[trainer.epoch - 1]}
        return Validation(metrics)

    monkeypatch.setattr(loop, "validate", validate)
    monkeypatch.setattr(loop, "save_curves", lambda *_: None)
    yield


def epochs_done(run: Path) -> int:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return int(max(json.loads(line)["epoch"] for line in lines))


def test_a_run_ends_when_ap_has_not_risen(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = train(small_config(*WORDS), shapes, tmp_path / "run", CPU)
    assert epochs_done(tmp_path / "run") == 4
    assert metrics["AP"] == 0.4 == load_weights(tmp_path / "run" / "best.pt").metrics["AP"]
    assert "stopped early after epoch 4 of 6" in capsys.readouterr().out


def test_without_patience_all_epochs_are_trained(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(small_config(*WORDS[:4]), shapes, tmp_path / "run", CPU)
    assert epochs_done(tmp_path / "run") == 6
    assert "stopped early" not in capsys.readouterr().out


def test_a_run_whose_patience_ends_with_its_last_epoch_is_not_early(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(small_config(*WORDS, "--train.epochs", "4"), shapes, tmp_path / "run", CPU)
    assert epochs_done(tmp_path / "run") == 4
    assert "stopped early" not in capsys.readouterr().out


def test_a_continued_run_ends_at_the_same_moment(shapes: Path, tmp_path: Path) -> None:
    config = small_config(*WORDS)
    train(with_overrides(config, ("--train.epochs", "3")), shapes, tmp_path / "run", CPU)
    assert load_weights(tmp_path / "run" / "last.pt").training["since_best"] == 1
    train(config, shapes, tmp_path / "run", CPU, resume=True)
    assert epochs_done(tmp_path / "run") == 4


def test_a_run_that_has_ended_goes_on_with_more_patience(shapes: Path, tmp_path: Path) -> None:
    config = small_config(*WORDS)
    train(config, shapes, tmp_path / "run", CPU)
    train(config, shapes, tmp_path / "run", CPU, resume=True)
    assert epochs_done(tmp_path / "run") == 4
    more = with_overrides(config, ("--train.patience", "3"))
    assert train(more, shapes, tmp_path / "run", CPU, resume=True)["AP"] == 0.5
    assert epochs_done(tmp_path / "run") == 6
