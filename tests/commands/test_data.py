"""`cornernet data`: datasets that it makes, converts and checks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from cornernet.cli import main
from cornernet.config import load_config, load_recipe
from cornernet.data.coco import CocoDataset
from cornernet.data.images import read_image
from cornernet.data.shapes import CLASSES

from .helpers import refusal, save_random_weights, small_recipe

ON_CPU = ["--device", "cpu"]


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
    assert [item["kind"] for item in content["findings"]] == ["truncated image"]
    assert content["capacity"]["objects"] == content["splits"]["train"]["objects"]


def test_check_writes_a_recipe_that_trains(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = small_recipe(tmp_path, {"data": {"workers": 0, "long_side": 40}})
    recipe = tmp_path / "proposed.yaml"
    check = ["data", "check", str(shapes), "--base", str(base), "--recipe", str(recipe)]
    main([*check, "--train.batch_size", "3"])
    out = capsys.readouterr().out
    values = yaml.safe_load(recipe.read_text())
    assert values["base"] == str(base) and values["train"]["batch_size"] == 3
    config = load_recipe(str(recipe))
    assert config.data.long_side > 40 and config.train.epochs == 300
    assert f"data.long_side {config.data.long_side}:" in out
    assert f"augment.crop_size {config.augment.crop_size}:" in out
    run = tmp_path / "run"
    words = ["--train.epochs", "1", "--device", "cpu"]
    main(["train", str(recipe), "--data", str(shapes), "--output", str(run), *words])
    assert load_config(run / "config.yaml").data == config.data


def test_a_recipe_is_not_written_over_its_base(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = small_recipe(tmp_path, {})
    text = base.read_text()
    error = refusal(
        capsys, "data", "check", str(shapes), "--base", str(base), "--recipe", str(base)
    )
    assert "--recipe" in error and "another name" in error and base.read_text() == text


@pytest.mark.parametrize("source", ["raw", "augmented", "targets"])
def test_show_writes_a_sheet_of_images(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str
) -> None:
    words = ["--base", str(small_recipe(tmp_path, {})), "--source", source]
    first, second, third = (tmp_path / f"{name}.png" for name in "abc")
    show = ["data", "show", str(shapes), *words, "--output"]
    main([*show, str(first), "--images", "3"])
    assert "3 images" in capsys.readouterr().out
    sheet = read_image(first)
    assert sheet.shape[1] == 3 * 326 + 6 and sheet.std() > 10
    main([*show, str(second), "--images", "3"])
    np.testing.assert_array_equal(read_image(second), sheet)
    main([*show, str(third), "--images", "3", "--split", "val"])
    assert not np.array_equal(read_image(third), sheet)


def test_show_finds_the_worst_images_of_a_detector_and_of_its_results(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = save_random_weights(tmp_path / "w.pt", CLASSES)
    results, first, second = (tmp_path / name for name in ("r.json", "a.png", "b.png"))
    main(["evaluate", str(weights), "--data", str(shapes), "--json", str(results), *ON_CPU])
    show = ["data", "show", str(shapes), "--source", "worst", "--images", "2"]
    main([*show, "--weights", str(weights), "--output", str(first), *ON_CPU])
    assert read_image(first).shape[1] == 2 * 646 + 6
    main([*show, "--predictions", str(results), "--output", str(second)])
    np.testing.assert_array_equal(read_image(first), read_image(second))
    assert "--weights" in refusal(capsys, *show, "--output", str(first))


def test_check_does_without_torch(shapes: Path) -> None:
    # Loading it takes as long as a thousand images.
    code = (
        "import sys; from cornernet.cli import main; main(sys.argv[1:]); "
        "sys.exit('torch' in sys.modules)"
    )
    words = [sys.executable, "-c", code, "data", "check", str(shapes)]
    subprocess.run(words, check=True, timeout=100, stdout=subprocess.DEVNULL)


def test_check_looks_where_settings_say(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(shapes / "annotations" / "instances_train.json", tmp_path / "mine.json")
    words = ["--data.train_annotations", str(tmp_path / "mine.json")]
    main(["data", "check", str(tmp_path), *words, "--data.train_images", str(shapes / "train")])
    assert "train: 4 images" in capsys.readouterr().out
