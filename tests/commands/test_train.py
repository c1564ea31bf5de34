"""`cornernet train`: what it writes, and one sentence for bad input."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
import torch

from cornernet import CornerNet
from cornernet.cli import main, parse
from cornernet.commands.train import continuing_command
from cornernet.config import load_recipe, settings
from cornernet.data.coco import CocoDataset
from cornernet.data.shapes import CLASSES
from cornernet.structures import Detections
from cornernet.weights.file import load_weights

from .helpers import SMALL_MODEL, mmdet_file, refusal, small_recipe, train_words


def test_train_runs_a_recipe_file_with_settings(shapes: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        json.dumps({"model": SMALL_MODEL, "augment": {"crop_size": 64}, "data": {"workers": 0}})
    )
    main(
        ["train", str(recipe), "--data", str(shapes), "--output", str(tmp_path / "run"),
         "--device", "cpu", "--train.epochs", "1", "--train.batch_size=2",
         "--test.pad_multiple", "16"]
    )  # fmt: skip
    saved = (tmp_path / "run" / "config.yaml").read_text()
    assert "recipe: mine" in saved and "batch_size: 2" in saved and "num_classes: 5" in saved


def test_help_lists_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "tiny" in text and "--resume" in text
    words = " ".join(text.split())
    for setting in settings().values():
        assert f"--{setting.name} " in words
    assert (
        "--train.learning_rate NUMBER Adam's learning rate after warm-up. (default: 0.0005)"
        in words
    )
    assert "--train.schedule {step,cosine} " in words and "--test.flip {true,false} " in words
    assert "--model.stage_blocks [INTEGER,…] " in words and "(default: [2, 2, 2, 2, 2, 4])" in words


def test_training_starts_from_mmdetections_file(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = mmdet_file(tmp_path / "x.pth")
    recipe = tmp_path / "mine.yaml"
    sizes = SMALL_MODEL | {"pool_channels": 128, "head_channels": 256}
    recipe.write_text(
        json.dumps({"model": sizes, "augment": {"crop_size": 64}, "data": {"workers": 0}})
    )
    main(
        ["train", str(recipe), "--data", str(shapes), "--output", str(tmp_path / "run"),
         "--init", str(source), "--device", "cpu", "--train.epochs", "1",
         "--train.batch_size", "2", "--test.pad_multiple", "16"]
    )  # fmt: skip
    assert "starting from all weights of" in capsys.readouterr().out


def test_no_data_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = refusal(capsys, *train_words(tmp_path / "nowhere", tmp_path / "run"))
    assert "nowhere" in error and not (tmp_path / "run").exists()


def test_annotations_that_are_not_json(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shutil.copytree(shapes, tmp_path / "data")
    (data / "annotations" / "instances_train.json").write_text('{"images": [')
    error = refusal(capsys, *train_words(data, tmp_path / "run"))
    assert "instances_train.json" in error and "JSON" in error


def test_a_truncated_image_during_training(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shutil.copytree(shapes, tmp_path / "data")
    image = sorted((data / "train").iterdir())[0]
    image.write_bytes(image.read_bytes()[:-200])
    with pytest.raises(SystemExit) as stop:
        main(train_words(data, tmp_path / "run"))
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert str(image) in captured.err
    assert "Traceback" not in captured.err + captured.out


def bad_box(shapes: Path, tmp_path: Path) -> Path:
    data = shutil.copytree(shapes, tmp_path / "data")
    file = data / "annotations" / "instances_train.json"
    content = json.loads(file.read_text())
    content["annotations"][1]["bbox"][2] = -5
    content["annotations"][1]["id"] = 4711
    file.write_text(json.dumps(content))
    return data


def test_a_bad_box_is_dropped_with_one_warning(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bad_box(shapes, tmp_path)
    main(train_words(data, tmp_path / "run", "--train.epochs", "1", "--data.workers", "0",
                     "--augment.crop_size", "64"))  # fmt: skip
    error = capsys.readouterr().err
    assert error.count("warning") == 1
    assert "instances_train.json" in error and "4711" in error and "dropped" in error


def test_a_bad_box_is_an_error_if_strict(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bad_box(shapes, tmp_path)
    error = refusal(capsys, *train_words(data, tmp_path / "run", "--data.strict", "true"))
    assert "4711" in error and "instances_train.json" in error


def test_a_setting_that_does_not_exist(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refusal(capsys, *train_words(shapes, tmp_path / "run", "--train.epoch", "3"))
    assert "--train.epoch " in error and "--train.epochs?" in error


def test_a_recipe_key_that_does_not_exist(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("train: {learningrate: 1}")
    words = train_words(shapes, tmp_path / "run")
    words[1] = str(recipe)
    error = refusal(capsys, *words)
    assert "mine.yaml: train.learningrate" in error and "train.learning_rate?" in error


def test_a_device_that_is_not_there(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = train_words(shapes, tmp_path / "run")
    words[words.index("cpu")] = "teapot"
    error = refusal(capsys, *words)
    assert (
        "--device" in error
        and "teapot" in error
        and "cpu" in error
        and not (tmp_path / "run").exists()
    )


def test_an_output_that_holds_a_run(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("precious")
    error = refusal(capsys, *train_words(shapes, tmp_path / "run"))
    assert "--output" in error and "config.yaml" in error
    assert (tmp_path / "run" / "config.yaml").read_text() == "precious"


def test_an_output_that_cannot_be_made(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    error = refusal(capsys, *train_words(shapes, tmp_path / "file" / "run"))
    assert str(tmp_path / "file") in error


def test_running_out_of_memory_names_what_to_lower(
    shapes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def starve(*args: object) -> None:
        raise RuntimeError("device out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("cornernet.train.trainer.Trainer.losses", starve)
    error = refusal(capsys, *train_words(shapes, tmp_path / "run"))
    assert "out of memory with 8 " in error and "128×128" in error
    for setting in ("train.micro_batch", "train.checkpoint_activations", "augment.crop_size"):
        assert f"--{setting}" in error


def test_init_is_the_setting_of_its_name(tmp_path: Path) -> None:
    words = train_words("data", "run", "--train.init", "a.pt", "--init", "b.pt")
    assert load_recipe("tiny", parse(words)[1]).train.init == "b.pt"


def test_init_that_is_missing(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = train_words(shapes, tmp_path / "run", "--init", str(tmp_path / "no.pt"))
    assert "no.pt" in refusal(capsys, *words)


def test_batch_is_not_searched_on_the_cpu(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refusal(capsys, *train_words(shapes, tmp_path / "run", "--find-batch"))
    assert "cpu" in error and "--train.micro_batch" in error and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "resume"),
    [((), False), (("--resume",), True), (("--resume", "auto"), "auto")],
)
def test_resume_takes_auto_or_nothing(words: tuple[str, ...], resume: object) -> None:
    assert parse(train_words("data", "run", *words))[0].resume == resume
    assert parse(train_words("data", "run", *words, "--train.epochs", "3"))[0].resume == resume


def test_resume_takes_no_other_word(capsys: pytest.CaptureFixture[str]) -> None:
    error = refusal(capsys, "train", "--resume", "tiny", "--data", "d", "--output", "o")
    assert "--resume" in error and "auto" in error and "'tiny'" in error


def test_the_command_that_continues_has_the_same_settings() -> None:
    words = train_words("my data", "run", "--train.epochs", "3", "--init", "w.pt")
    arguments, changes = parse(words)
    command = shlex.split(continuing_command(arguments, changes))
    again, again_changes = parse(command[1:])
    assert command[0] == "cornernet" and again.resume == "auto"
    assert vars(again) | {"resume": 0, "parser": 0, "train.init": 0} == vars(arguments) | {
        "resume": 0, "parser": 0, "train.init": 0
    }  # fmt: skip
    assert load_recipe("tiny", again_changes) == load_recipe("tiny", changes)
    assert continuing_command(arguments, changes, 4).startswith(
        "torchrun --nproc_per_node 4 -m cornernet train tiny"
    )


def test_a_refused_lock_names_the_flag(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lock").write_text('{"host": "elsewhere", "pid": 1, "started": "today"}')
    error = refusal(capsys, *train_words(shapes, tmp_path, "--resume", "auto"))
    assert error.startswith("cornernet train: --output must be ") and "elsewhere" in error


def test_without_validation_objects_there_is_no_best_ap_but_a_best_file(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shutil.copytree(shapes, tmp_path / "data")
    file = data / "annotations" / "instances_val.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"annotations": []}))
    recipe = small_recipe(tmp_path, {"train": {"epochs": 2, "batch_size": 2}})
    run = tmp_path / "run"
    main(["train", str(recipe), "--data", str(data), "--output", str(run), "--device", "cpu"])
    out = capsys.readouterr().out
    assert out.index("no object to validate on") < out.index("epoch 1/2")
    assert "AP n/a" in out and "best: AP=n/a" in out and "-1.000" not in out
    last, best = load_weights(run / "last.pt"), load_weights(run / "best.pt")
    for name, value in last.state_dict.items():
        assert torch.equal(value, best.state_dict[name]), name


def test_ap_that_is_not_there_is_never_the_best(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cornernet.inference.evaluate import METRICS, Evaluation

    values = iter([-1.0, 0.0, -1.0])

    def evaluate(*_: object) -> tuple[Evaluation, dict[int, object]]:
        return Evaluation(dict.fromkeys(METRICS, next(values)), {}), {}

    monkeypatch.setattr("cornernet.train.validation.evaluate", evaluate)
    recipe = small_recipe(tmp_path, {"train": {"epochs": 3, "batch_size": 2}})
    run = tmp_path / "run"
    main(["train", str(recipe), "--data", str(shapes), "--output", str(run), "--device", "cpu"])
    assert load_weights(run / "best.pt").metrics["AP"] == 0.0


def test_the_best_threshold_travels_with_the_weights(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cornernet.inference.evaluate import METRICS, Evaluation

    def evaluate(_: object, dataset: CocoDataset, *__: object) -> tuple[Any, Any]:
        found = {}
        for index in range(len(dataset)):
            sample = dataset.load(index)
            boxes, labels = torch.from_numpy(sample.boxes), torch.from_numpy(sample.labels)
            wrong = Detections(boxes + 500, torch.full((len(boxes),), 0.2), labels)
            right = Detections(boxes, torch.full((len(boxes),), 0.9), labels)
            found[sample.image_id] = Detections(
                *(torch.cat(pair) for pair in zip(astuple(right), astuple(wrong), strict=True))
            )
        return Evaluation(dict.fromkeys(METRICS, 1.0), {}), found

    monkeypatch.setattr("cornernet.train.validation.evaluate", evaluate)
    recipe = small_recipe(tmp_path, {})
    run = tmp_path / "run"
    main(["train", str(recipe), "--data", str(shapes), "--output", str(run), "--device", "cpu"])
    for name in ("best.pt", "last.pt"):
        assert load_weights(run / name).thresholds.overall == 0.55
    assert CornerNet.from_pretrained(run / "best.pt", device="cpu").score_threshold == 0.55


def test_a_category_without_a_box_is_no_class_of_the_network(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shutil.copytree(shapes, tmp_path / "data")
    for split in ("train", "val"):
        file = data / "annotations" / f"instances_{split}.json"
        content = json.loads(file.read_text())
        content["categories"].insert(0, {"id": 0, "name": "[shapes]", "supercategory": "none"})
        file.write_text(json.dumps(content))
    recipe = small_recipe(tmp_path, {})
    run = tmp_path / "run"
    main(["train", str(recipe), "--data", str(data), "--output", str(run), "--device", "cpu"])
    out = capsys.readouterr().out
    assert out.count("category without a box: '[shapes]'") == 2
    assert load_weights(run / "best.pt").classes == list(CLASSES)
    main(["evaluate", str(run / "best.pt"), "--data", str(shapes), "--device", "cpu"])


def test_a_run_that_goes_on_keeps_its_settings_when_the_recipe_has_changed(
    shapes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = small_recipe(tmp_path, {}).rename(tmp_path / "small.yaml")
    run = tmp_path / "run"
    words = ["train", "small", "--data", str(shapes), "--output", str(run), "--device", "cpu"]
    monkeypatch.setattr("cornernet.config.parse.recipes", lambda: {"small": recipe})
    monkeypatch.setattr("cornernet.commands.train.recipes", lambda: {"small": recipe})
    main([*words, "--train.epochs", "1"])
    small_recipe(tmp_path, {"loss": {"focal_beta": 3.0}}).rename(recipe)
    main([*words, "--resume", "--train.epochs", "2"])
    weights = load_weights(run / "last.pt")
    assert weights.config.loss.focal_beta == 4.0 and weights.config.train.epochs == 2
    error = refusal(capsys, *words, "--resume", "--loss.focal_beta", "3")
    assert "loss.focal_beta" in error and "4.0" in error and "3.0" in error
