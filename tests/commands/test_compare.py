"""`cornernet compare`: runs side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cornernet.cli import main
from cornernet.config import config_from_dict, save_config
from cornernet.data.images import read_image
from cornernet.inference.review import REVIEW_KEYS
from tests.report.test_page import Page

from .helpers import refusal


def write_run(directory: Path, aps: list[float], *settings: str, evaluated: bool = True) -> str:
    """A run of as many epochs as there are APs; -1 stands for n/a."""
    directory.mkdir(parents=True)
    words = ("--train.epochs", str(len(aps)), *settings)
    save_config(config_from_dict({}, words), directory / "config.yaml")
    lines = []
    for epoch, ap in enumerate(aps, 1):
        lines.append({"kind": "train", "step": epoch, "epoch": epoch, "loss/total": 4 / epoch,
                      "learning_rate": 1e-3, "images_per_second": 5.0})  # fmt: skip
        lines.append({"kind": "val", "step": epoch, "epoch": epoch, "AP": ap, "AP50": ap,
                      "AP75": ap, "seconds": 1.0})  # fmt: skip
    (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if evaluated:
        classes = [
            {"name": name, "metrics": {"AP": max(aps)}} for name in ("[red]cat[/red]", "<b>dog</b>")
        ]
        review = dict.fromkeys(REVIEW_KEYS) | {
            "threshold": 0.4375, "at_threshold": {"f1": 0.5}, "classes": classes
        }  # fmt: skip
        (directory / "evaluation.json").write_text(json.dumps(review))
    return str(directory)


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    """Two runs that differ in one setting, and one of an older version that differs in another."""
    return [
        write_run(tmp_path / "a", [0.125, 0.25, 0.1875]),
        write_run(tmp_path / "b", [0.125, 0.5, 0.625], "--train.learning_rate", "0.001"),
        write_run(tmp_path / "c" / "b", [-1, -1, -1], "--train.seed", "7", evaluated=False),
    ]


def content(tmp_path: Path, runs: list[str]) -> dict[str, Any]:
    main(["compare", *runs, "--json", str(tmp_path / "all.json")])
    found: dict[str, Any] = json.loads((tmp_path / "all.json").read_text())
    return found


def test_results_settings_and_classes_are_side_by_side(tmp_path: Path, runs: list[str]) -> None:
    found = content(tmp_path, runs[:2])
    assert found["names"] == ["a", "b"]
    assert found["results"]["AP"] == ["0.250", "0.625"]
    assert found["results"]["best epoch"] == ["2", "3"]
    assert found["results"]["threshold"] == ["0.438", "0.438"]
    assert found["settings"] == {"train.learning_rate": ["0.0005", "0.001"]}
    assert found["classes"]["<b>dog</b>"] == ["0.250", "0.625"]
    assert found["curves"]["AP of validation"]["b"] == [[1, 2, 3], [0.125, 0.5, 0.625]]


def test_runs_of_one_name_and_without_an_evaluation(tmp_path: Path, runs: list[str]) -> None:
    found = content(tmp_path, runs)
    assert found["names"] == runs  # two directories are called b
    assert found["results"]["AP"][2] == "n/a" and found["classes"]["<b>dog</b>"][2] == "–"
    assert set(found["settings"]) == {"train.learning_rate", "train.seed"}
    assert runs[2] not in found["curves"]["AP of validation"]
    assert any("older version" in note for note in found["notes"])


def test_tables_show_names_as_they_are(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(["compare", *runs[:2]])
    text = capsys.readouterr().out
    assert "[red]cat[/red]" in text and "train.learning_rate" in text and "0.625" in text
    assert "check-losses" in text  # what this name meant before


def test_files_are_written(tmp_path: Path, runs: list[str]) -> None:
    page, image = tmp_path / "all.html", tmp_path / "all.png"
    main(["compare", *runs, "--html", str(page), "--png", str(image)])
    text = page.read_text(encoding="utf-8")
    found = Page(text)
    assert found.tags.count("svg") == 4 and "<b>dog</b>" in found.cells and "0.625" in found.cells
    assert read_image(image).shape[1] > 500


def test_bad_input_is_a_sentence(
    tmp_path: Path, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "two or more" in refusal(capsys, "compare", runs[0])
    assert "different" in refusal(capsys, "compare", runs[0], runs[1], runs[0] + "/")
    assert "config.yaml" in refusal(capsys, "compare", runs[0], str(tmp_path))
    assert ".png" in refusal(capsys, "compare", *runs, "--png", str(tmp_path / "a.gif"))
