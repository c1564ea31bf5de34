"""`cornernet predict`: images and files it writes, and one sentence for bad input."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from cornernet.cli import main
from cornernet.data.images import read_image, write_image
from cornernet.data.shapes import CLASSES
from cornernet.structures import Thresholds
from cornernet.weights.file import load_weights, save_weights

from .helpers import refusal


def test_predict_draws_every_source_once(shapes: Path, weights: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    directory = shapes / "val"
    pattern = str(directory / "*.jpg")
    main(["predict", str(weights), str(directory), pattern, "--output", str(output),
          "--device", "cpu", "--score", "0.0", "--json", str(tmp_path / "found.json")])  # fmt: skip
    drawn = sorted(path.name for path in output.iterdir())
    assert drawn == sorted(path.name for path in directory.iterdir())
    found = json.loads((tmp_path / "found.json").read_text())
    assert [Path(item["file"]).name for item in found] == drawn
    first = found[0]["detections"][0]
    assert first["class"] == CLASSES[first["label"]] and len(first["box"]) == 4


def test_predict_score_leaves_out_detections(shapes: Path, weights: Path, tmp_path: Path) -> None:
    def count(score: str) -> int:
        out = tmp_path / f"out{score}"
        main(["predict", str(weights), str(shapes / "val"), "--output", str(out), "--device",
              "cpu", "--score", score, "--json", str(tmp_path / "found.json")])  # fmt: skip
        found = json.loads((tmp_path / "found.json").read_text())
        return sum(len(item["detections"]) for item in found)

    assert count("0.0") > 0 == count("0.99")


@pytest.mark.parametrize("words", [(), ("--score", "0.001")])
def test_predict_takes_the_threshold_of_the_weights_and_says_so(
    shapes: Path,
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
) -> None:
    held = dataclasses.replace(load_weights(weights), thresholds=Thresholds(0.985))
    save_weights(held, weights)
    main(["predict", str(weights), str(shapes / "val"), "--output", str(tmp_path / "out"),
          "--device", "cpu", "--json", str(tmp_path / "found.json"), *words])  # fmt: skip
    found = json.loads((tmp_path / "found.json").read_text())
    assert any(item["detections"] for item in found) is bool(words)
    assert ("0.985" in capsys.readouterr().out) is not bool(words)


def test_predict_lays_the_images_side_by_side(shapes: Path, weights: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    main(["predict", str(weights), str(shapes / "val"), "--output", str(tmp_path / "out"),
          "--device", "cpu", "--sheet", str(sheet)])  # fmt: skip
    height, width = read_image(sheet).shape[:2]
    assert width > 3 * 480 and height < 480  # three small images in a row


def test_one_bad_image_does_not_cost_the_others(
    shapes: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = shutil.copytree(shapes / "val", tmp_path / "images")
    broken = sorted(directory.iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:-100])
    with pytest.raises(SystemExit) as stop:
        main(["predict", str(weights), str(directory), "--output", str(tmp_path / "out"),
              "--device", "cpu", "--json", str(tmp_path / "found.json")])  # fmt: skip
    assert stop.value.code == 2 and str(broken) in capsys.readouterr().err
    assert len(json.loads((tmp_path / "found.json").read_text())) == 2
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_a_sheet_of_no_image_format_is_refused_before_the_work(
    shapes: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refusal(capsys, "predict", str(weights), str(shapes / "val"), "--output",
                    str(tmp_path / "out"), "--device", "cpu", "--sheet",
                    str(tmp_path / "sheet.pdf"))  # fmt: skip
    assert "sheet.pdf" in error and ".png" in error and not (tmp_path / "out").exists()


def test_a_image_too_large_for_the_memory_is_named_and_the_others_predicted(
    shapes: Path,
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    directory = shutil.copytree(shapes / "val", tmp_path / "images")
    large = directory / "large.png"
    write_image(large, np.zeros((800, 900, 3), np.uint8))
    monkeypatch.setattr("cornernet.inference.detect.free_memory", lambda device: 10**6)
    output = tmp_path / "out"
    error = refusal(capsys, "predict", str(weights), str(directory), "--output", str(output),
                    "--device", "cpu")  # fmt: skip
    assert f"{large}: out of memory with 1 " in error and "911×815" in error
    assert len(list(output.iterdir())) == 3


@pytest.mark.parametrize("setting", ["--data.long_side", "--scales"])
def test_predict_takes_the_settings_that_lower_memory(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    image = tmp_path / "large.png"
    write_image(image, np.zeros((800, 800, 3), np.uint8))
    monkeypatch.setattr("cornernet.inference.detect.free_memory", lambda device: 10**6)
    value = {"--data.long_side": "80", "--scales": "0.1"}[setting]
    main(["predict", str(weights), str(image), "--output", str(tmp_path / "out"),
          "--device", "cpu", setting, value])  # fmt: skip
    assert read_image(tmp_path / "out" / "large.png").shape == (800, 800, 3)


def test_a_image_of_a_kind_that_is_not_written_becomes_png(weights: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.full((40, 50, 3), 90, np.uint8))
    source = (tmp_path / "a.png").rename(tmp_path / "a.image")
    main(["predict", str(weights), str(source), "--output", str(tmp_path / "out"),
          "--device", "cpu", "--score", "1"])  # fmt: skip
    assert (read_image(tmp_path / "out" / "a.image.png") == 90).all()


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text there")
def test_a_name_that_cannot_be_shown_is_predicted(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "a.png", np.full((40, 50, 3), 90, np.uint8))
    source = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 \xe5\x9b\xbe.png")
    (tmp_path / "a.png").rename(source)
    shown = io.BytesIO()
    terminal = io.TextIOWrapper(shown, encoding="ascii")
    monkeypatch.setattr("sys.stdout", terminal)
    main(["predict", str(weights), source, "--output", str(tmp_path / "out"), "--device", "cpu",
          "--sheet", str(tmp_path / "sheet.png"), "--json", str(tmp_path / "j.json")])  # fmt: skip
    assert b"\\u56fe.png: " in shown.getvalue()
    assert json.loads((tmp_path / "j.json").read_text())[0]["file"] == source
    assert len(os.listdir(tmp_path / "out")) == 1


def test_a_source_that_matches_nothing(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refusal(capsys, "predict", str(weights), str(tmp_path / "*.jpg"), "--output",
                    str(tmp_path / "out"), "--device", "cpu")  # fmt: skip
    assert "*.jpg" in error and not (tmp_path / "out").exists()


def test_predict_never_writes_over_a_source(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "a.png"
    write_image(image, np.full((64, 64, 3), 200, np.uint8))
    error = refusal(capsys, "predict", str(weights), str(image), "--output", str(tmp_path),
                    "--device", "cpu")  # fmt: skip
    assert "--output " in error and "written over" in error
    assert (read_image(image) == 200).all()


def test_two_sources_of_one_name(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for directory in ("one", "two"):
        (tmp_path / directory).mkdir()
        write_image(tmp_path / directory / "a.png", np.zeros((64, 64, 3), np.uint8))
    error = refusal(capsys, "predict", str(weights), str(tmp_path / "one"), str(tmp_path / "two"),
                    "--output", str(tmp_path / "out"), "--device", "cpu")  # fmt: skip
    assert "one" in error and "two" in error and "become" in error
