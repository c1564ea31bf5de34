"""`cornernet predict`: images and files it writes, and one sentence for bad input."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cornernet.cli import main
from cornernet.data.images import read_image, write_image
from cornernet.data.shapes import CLASSES
from cornernet.data.video import Frame, LiveVideo, Video, writing_video
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
    monkeypatch.setattr("cornernet.inference.memory.free_memory", lambda device: 10**6)
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
    monkeypatch.setattr("cornernet.inference.memory.free_memory", lambda device: 10**6)
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


def predict(weights: Path, *words: object) -> None:
    main(["predict", str(weights), *map(str, words), "--device", "cpu"])


def test_images_of_one_name_in_subdirectories_are_kept_apart(weights: Path, tmp_path: Path) -> None:
    for place, value in (("a.png", 10), ("one/a.png", 90), ("two/a.png", 170)):
        (tmp_path / "in" / place).parent.mkdir(parents=True, exist_ok=True)
        write_image(tmp_path / "in" / place, np.full((40, 50, 3), value, np.uint8))
    predict(weights, tmp_path / "in", "--output", tmp_path / "in" / "out", "--score", "1")
    predict(weights, tmp_path / "in", "--output", tmp_path / "in" / "out", "--score", "1")
    drawn = {path.relative_to(tmp_path / "in/out").as_posix(): int(read_image(path).mean())
             for path in (tmp_path / "in" / "out").rglob("*.*")}  # fmt: skip
    assert drawn == {"a.png": 10, "one/a.png": 90, "two/a.png": 170}


def test_files_that_are_passed_over_are_named(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.jpg", "b.jfif", "c.jpe", "d.TIF"):
        write_image(tmp_path / name, np.full((40, 50, 3), 90, np.uint8))
    for name in ("._a.jpg", "e.heic", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    predict(weights, tmp_path, "--csv", tmp_path / "found.csv")
    out = capsys.readouterr().out
    assert "1 .heic" in out and "1 .txt" in out and "4 images" in out


def test_json_on_standard_output_is_all_that_is_there(
    shapes: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(weights, shapes / "val", "--json", "-", "--output", tmp_path / "out", "--score", "0")
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert len(found) == 3 and found[0]["detections"] and found[0]["width"]
    assert "3 images" in captured.err and "images/s" in captured.err


def test_json_of_nothing_found_is_an_array(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(SystemExit):
        predict(weights, tmp_path, "--json", "-")
    assert json.loads(capsys.readouterr().out) == []


def test_lines_and_rows_hold_what_the_array_holds(
    shapes: Path, weights: Path, tmp_path: Path
) -> None:
    files = {kind: tmp_path / f"found.{kind}" for kind in ("json", "jsonl", "csv")}
    words = [word for kind, file in files.items() for word in (f"--{kind}", file)]
    predict(weights, shapes / "val", *words, "--score", "0.05")
    found = json.loads(files["json"].read_text())
    assert [json.loads(line) for line in files["jsonl"].read_text().splitlines()] == found
    rows = list(csv.DictReader(files["csv"].open(encoding="utf-8")))
    objects = [(item["file"], one) for item in found for one in item["detections"]]
    assert len(rows) == len(objects) > 0
    for row, (file, one) in zip(rows, objects, strict=True):
        assert (row["file"], row["frame"], row["time"]) == (file, "", "")
        assert [float(row[name]) for name in ("x1", "y1", "x2", "y2")] == one["box"]
        assert (float(row["score"]), row["class"]) == (one["score"], one["class"])


def video_of(path: Path, frames: int) -> Path:
    with writing_video(path, 10) as writer:
        for place in range(frames):
            writer.write(np.full((48, 64, 3), 20 * place, np.uint8))
    return path


def test_a_video_is_annotated_and_recorded_frame_by_frame(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video_of(tmp_path / "v.mp4", 7)
    predict(weights, tmp_path / "v.mp4", "--output", tmp_path / "out", "--every", "2",
            "--jsonl", tmp_path / "found.jsonl", "--score", "0.99")  # fmt: skip
    records = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    assert [record["frame"] for record in records] == [0, 2, 4, 6]
    assert [round(record["time"], 3) for record in records] == [0, 0.2, 0.4, 0.6]
    with Video(tmp_path / "out" / "v.mp4") as video:
        assert video.fps == 5
        assert [round(frame.image.mean() / 40) for frame in video] == [0, 1, 2, 3]
    assert "v.mp4: 4 frames" in capsys.readouterr().out


def test_a_broken_video_does_not_cost_the_others(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    video_of(tmp_path / "b.mp4", 2)
    write_image(tmp_path / "c.png", np.full((40, 50, 3), 90, np.uint8))
    error = refusal(capsys, "predict", str(weights), str(tmp_path), "--output",
                    str(tmp_path / "out"), "--device", "cpu")  # fmt: skip
    assert "a.mp4" in error and "cannot be opened" in error and "b.mp4" not in error
    assert sorted(os.listdir(tmp_path / "out")) == ["b.mp4", "c.png"]


class Interrupted(LiveVideo):
    """A camera in front of which somebody presses Ctrl-C after three frames."""

    def __init__(self, *_: object) -> None:
        self.name, self.fps, self.total = "camera 0", 10.0, None

    def __iter__(self) -> Iterator[Frame]:
        for index in range(3):
            yield Frame(np.full((48, 64, 3), 90, np.uint8), index, 0.1 * (index + 1))
        raise KeyboardInterrupt

    def __exit__(self, *_: object) -> None:
        pass


def test_an_interruption_leaves_whole_files(
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("cornernet.data.video.open_video", Interrupted)
    files = {kind: tmp_path / f"found.{kind}" for kind in ("json", "jsonl", "csv")}
    words = [word for kind, file in files.items() for word in (f"--{kind}", file)]
    with pytest.raises(SystemExit) as stop:
        predict(weights, "0", *words, "--output", tmp_path / "out", "--sheet",
                tmp_path / "sheet.png", "--score", "0")  # fmt: skip
    captured = capsys.readouterr()
    assert stop.value.code == 130 and "interrupted" in captured.err
    assert "camera 0: 3 frames" in captured.out
    records = json.loads(files["json"].read_text())
    assert [(record["file"], record["frame"]) for record in records] == [
        ("camera 0", 0), ("camera 0", 1), ("camera 0", 2)
    ]  # fmt: skip
    assert [json.loads(line) for line in files["jsonl"].read_text().splitlines()] == records
    assert files["csv"].read_text().endswith("\n")
    with Video(tmp_path / "out" / "camera-0.mp4") as video:
        assert len(list(video)) == 3
    assert sorted(os.listdir(tmp_path)) == sorted(
        ["out", "sheet.png", "weights.pt", *(file.name for file in files.values())]
    )


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "--output "),
        (["--output", "out", "--score", "30"], "--score must be in 0..1"),
        (["--output", "out", "--score", "nan"], "--score must be in 0..1"),
        (["--output", "out", "--every", "0"], "--every must be at least 1"),
        (["--json", "-", "--csv", "-"], "two kinds of results"),
        (["--json", "missing/a.json"], "missing"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_before_the_work(
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    named: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "a.png", np.zeros((40, 50, 3), np.uint8))
    error = refusal(capsys, "predict", str(weights), "a.png", *words, "--device", "cpu")
    assert named in error and sorted(os.listdir(tmp_path)) == ["a.png", "weights.pt"]


def test_a_refused_run_leaves_the_results_that_were_there(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "found.jsonl").write_text("old")
    refusal(capsys, "predict", str(weights), str(tmp_path / "missing.png"), "--jsonl",
            str(tmp_path / "found.jsonl"), "--device", "cpu")  # fmt: skip
    assert (tmp_path / "found.jsonl").read_text() == "old"


def test_files_may_go_to_the_directory_that_is_made(
    shapes: Path, weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "out"
    predict(weights, shapes / "val", "--output", out, "--json", out / "a.json", "--csv",
            out / "a.csv", "--sheet", out / "a.png")  # fmt: skip
    assert {"a.json", "a.csv", "a.png"} < set(os.listdir(out))
