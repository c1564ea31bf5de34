"""`cornernet data`: datasets that it makes, converts and checks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cornernet.cli import main
from cornernet.data.coco import CocoDataset

from .helpers import refusal, small_recipe


def test_synthesize_makes_a_dataset(tmp_path: Path) -> None:
    main(["data", "synthesize", str(tmp_path / "s"), "--train", "2", "--val", "1", "--seed", "7"])
    assert len(list((tmp_path / "s" / "train").iterdir())) == 2
    data = CocoDataset(tmp_path / "s", "val")
    assert len(data) == 1 and len(data.load(0).boxes)


@pytest.mark.parametrize("words", [["--trian", "2"], ["--trian=2"]])
def test_unknown_flag_is_found_below_a_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    error = refusal(capsys, "data", "synthesize", str(tmp_path / "s"), *words)
    assert "--trian" in error and "--train?" in error and not (tmp_path / "s").exists()


@pytest.mark.parametrize("layout", ["voc", "yolo"])
def test_from_another_layout_to_the_same_detector_in_one_command(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], layout: str
) -> None:
    """The losses and the AP are those of the COCO layout, to the last digit."""
    main(["data", "convert", str(shapes), str(tmp_path / "data"), "--to", layout])
    recipe = str(small_recipe(tmp_path, {"train": {"epochs": 2, "batch_size": 2}}))
    records = []
    for data in (shapes, tmp_path / "data"):
        run = tmp_path / f"run-{data.name}"
        main(["train", recipe, "--data", str(data), "--output", str(run), "--device", "cpu"])
        lines = (run / "metrics.jsonl").read_text().splitlines()
        times = ("seconds", "images_per_second", "data_wait_share", "time", "peak_memory_gib")
        records.append(
            [{k: v for k, v in json.loads(line).items() if k not in times} for line in lines]
        )
    assert any("AP" in record for record in records[0])
    assert records[0] == records[1]
    capsys.readouterr()
    main(["evaluate", str(run / "best.pt"), "--data", str(data), "--device", "cpu"])
    assert "AP50" in capsys.readouterr().out


def test_check_says_what_is_there_and_what_is_wrong(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shutil.copytree(shapes, tmp_path / "data")
    main(["data", "check", str(data)])
    assert "train: 4 images" in (out := capsys.readouterr().out) and "can be trained on" in out
    (data / "train" / "000002.jpg").write_bytes(b"\xff\xd8\xff")
    found = tmp_path / "found.json"
    with pytest.raises(SystemExit) as stop:
        main(["data", "check", str(data), "--json", str(found)])
    assert stop.value.code == 1
    assert "000002.jpg" in capsys.readouterr().out
    content = json.loads(found.read_text())
    assert content["usable"] is False
    assert [item["kind"] for item in content["findings"]] == ["unreadable image"]
