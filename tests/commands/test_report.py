"""`cornernet report`: a run as a page, whatever it lacks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cornernet.cli import main
from cornernet.data.synthetic import synthesize
from cornernet.train.lock import RunLock
from tests.report.test_page import Page

from .helpers import refusal, small_recipe


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a dataset, `shapes`, and a run of two epochs, `run`."""
    root = tmp_path_factory.mktemp("trained")
    synthesize(root / "shapes", train=4, val=3, min_side=64, max_side=96)
    recipe = small_recipe(root, {"train": {"epochs": 2, "batch_size": 2, "log_every": 1}})
    main(["train", str(recipe), "--data", str(root / "shapes"), "--output", str(root / "run"),
          "--device", "cpu"])  # fmt: skip
    return root


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be changed."""
    return shutil.copytree(trained / "run", tmp_path / "run")


def reported(run: Path, *words: str) -> tuple[Page, str]:
    main(["report", str(run), *words])
    text = (run / "report.html").read_text(encoding="utf-8")
    return Page(text), text


def without_last_epoch(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["epoch"] < 2]
    (run / "metrics.jsonl").write_text("".join(kept))


def test_training_writes_the_report(trained: Path) -> None:
    text = (trained / "run" / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    stored = json.loads((trained / "run" / "evaluation.json").read_text())
    assert page.ids["status"] == "finished" and "All 2 epochs" in text
    assert page.ids["AP"] == f"{stored['metrics']['AP']:.3f}"
    assert "train.epochs" in page.cells and "torch" in page.cells
    assert page.tags.count("img") == 2 * len(stored["worst"]) > 0


@pytest.mark.parametrize("state", ["running", "interrupted", "killed"])
def test_a_run_that_is_not_at_its_end(run: Path, state: str) -> None:
    without_last_epoch(run)
    lock = None if state == "interrupted" else RunLock(run / "lock")
    if lock is not None and state == "killed":  # what a process that is gone has left
        left = json.loads((run / "lock").read_text()) | {"start_time": -1}
        lock.release()
        (run / "lock").write_text(json.dumps(left))
    page, text = reported(run)
    if lock is not None and state == "running":
        lock.release()
    assert page.ids["status"] == ("running" if state == "running" else "interrupted")
    assert "of 2, step" in text


def test_a_run_that_stopped_early(run: Path) -> None:
    config = (run / "config.yaml").read_text()
    config = config.replace("epochs: 2", "epochs: 9").replace("patience: 0", "patience: 1")
    (run / "config.yaml").write_text(config)
    page, text = reported(run)
    assert page.ids["status"] == "finished" and "Stopped early after epoch 2 of 9" in text


def remove_evaluation(run: Path) -> None:
    (run / "evaluation.json").unlink()


def never_evaluated(run: Path) -> None:
    remove_evaluation(run)
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(line for line in lines if '"train"' in line))


def cut_evaluation(run: Path) -> None:
    (run / "evaluation.json").write_text("{")


def foreign_evaluation(run: Path) -> None:
    (run / "evaluation.json").write_text('{"metrics": {}}')


def remove_config(run: Path) -> None:
    (run / "config.yaml").unlink()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (remove_evaluation, "not kept by an older version"),
        (foreign_evaluation, "another version: it holds no at_threshold, calibration"),
        (never_evaluated, "has not been evaluated yet"),
        (cut_evaluation, "cannot be read"),
        (remove_config, "The settings cannot be read"),
    ],
)
def test_what_is_missing_is_said(run: Path, change: Callable[[Path], None], sentence: str) -> None:
    change(run)
    page, text = reported(run)
    assert sentence in text
    assert ("AP" in page.ids) is (change is not never_evaluated)
    assert page.tags.count("svg") >= 5


def test_a_dataset_that_has_moved(trained: Path, run: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    stored = json.loads((run / "evaluation.json").read_text())
    for entry in stored["worst"]:
        entry["file"] = entry["file"].replace("shapes", "gone")
    (run / "evaluation.json").write_text(json.dumps(stored))
    page, text = reported(run)
    assert "img" not in page.tags and "name the dataset to draw it again" in text
    assert page.ids["AP"] == f"{stored['metrics']['AP']:.3f}"
    shutil.copytree(trained / "shapes", moved)
    page, _ = reported(run, "--data", str(moved), "--device", "cpu")
    assert page.tags.count("img") == 2 * len(stored["worst"])


def test_the_best_weights_are_evaluated_again(trained: Path, run: Path) -> None:
    kept = json.loads((run / "evaluation.json").read_text())
    remove_evaluation(run)
    page, text = reported(run, "--data", str(trained / "shapes"), "--device", "cpu")
    assert "older version" not in text
    assert page.ids["AP"] == f"{kept['metrics']['AP']:.3f}"
    assert page.ids["F1"] == f"{kept['at_threshold']['f1']:.3f}"


def test_bad_input_is_a_sentence(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "config.yaml" in refusal(capsys, "report", str(tmp_path))
    assert "config.yaml" in refusal(capsys, "report", str(tmp_path / "none"))
    assert "--data" in refusal(capsys, "report", str(run), "--split", "train")
    assert ".html" in refusal(capsys, "report", str(run), "--output", str(tmp_path / "a.pdf"))
