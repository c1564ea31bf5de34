"""The commands, called as `main([...])`: what they write, and one sentence for bad input."""

from __future__ import annotations

import io
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small import SMALL_MODEL

from cornernet.cli import main
from cornernet.config import config_from_dict
from cornernet.data.images import read_image, write_image
from cornernet.data.synthetic import CLASSES, synthesize
from cornernet.inference.evaluate import METRICS
from cornernet.model.detector import Detector
from cornernet.weights.file import Weights, load_weights, save_weights


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(
        tmp_path_factory.mktemp("data") / "shapes", train=4, val=3, min_side=64, max_side=96
    )


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return save_random_weights(tmp_path / "weights.pt", list(CLASSES))


def save_random_weights(path: Path, classes: list[str]) -> Path:
    torch.manual_seed(0)
    config = config_from_dict({"model": SMALL_MODEL, "test": {"pad_multiple": 16, "topk": 20}})
    model = Detector(config.model, len(classes))
    save_weights(Weights(model.state_dict(), classes, config), path)
    return path


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that must fail with one line and no traceback; the line."""
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("cornernet ") and error.count("\n") == 1, error
    return error


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


def test_train_help_lists_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "--train.learning_rate" in text and "tiny" in text and "--resume" in text


def test_evaluate_writes_metrics_and_detections(
    shapes: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics, detections = tmp_path / "metrics.json", tmp_path / "detections.json"
    main(
        ["evaluate", str(weights), "--data", str(shapes), "--device", "cpu",
         "--metrics", str(metrics), "--json", str(detections)]
    )  # fmt: skip
    assert tuple(json.loads(metrics.read_text())) == METRICS
    results = json.loads(detections.read_text())
    assert results and set(results[0]) == {"image_id", "category_id", "bbox", "score"}
    table = capsys.readouterr().out
    assert all(name in table for name in CLASSES)


def test_detections_file_is_what_pycocotools_reads(
    shapes: Path, weights: Path, tmp_path: Path
) -> None:
    from pycocotools.coco import COCO

    detections = tmp_path / "detections.json"
    main(["evaluate", str(weights), "--data", str(shapes), "--device", "cpu",
          "--json", str(detections)])  # fmt: skip
    truth = COCO(str(shapes / "annotations" / "instances_val.json"))
    assert truth.loadRes(str(detections)).getAnnIds()


def test_predict_draws_every_source_once(shapes: Path, weights: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    folder = shapes / "val"
    pattern = str(folder / "*.jpg")
    main(["predict", str(weights), str(folder), pattern, "--output", str(output),
          "--device", "cpu", "--score", "0.0", "--json", str(tmp_path / "found.json")])  # fmt: skip
    drawn = sorted(path.name for path in output.iterdir())
    assert drawn == sorted(path.name for path in folder.iterdir())
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


def test_predict_lays_the_pictures_side_by_side(
    shapes: Path, weights: Path, tmp_path: Path
) -> None:
    sheet = tmp_path / "sheet.png"
    main(["predict", str(weights), str(shapes / "val"), "--output", str(tmp_path / "out"),
          "--device", "cpu", "--sheet", str(sheet)])  # fmt: skip
    height, width = read_image(sheet).shape[:2]
    assert width > 3 * 480 and height < 480  # three small pictures in a row


@pytest.mark.parametrize("verb", ["evaluate", "predict"])
def test_flip_and_scales_are_the_views_that_are_looked_at(
    shapes: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    import cornernet.inference.detect as module

    views = []

    def spy(placed, color, device, mirrored):
        views.extend((round(view.scale[0], 2), mirrored) for view in placed)
        return original(placed, color, device, mirrored)

    original = module.place
    monkeypatch.setattr(module, "place", spy)
    where = ["--data", str(shapes)] if verb == "evaluate" else [str(shapes / "val")]
    output = [] if verb == "evaluate" else ["--output", str(tmp_path / "out")]
    main([verb, str(weights), *where, *output, "--device", "cpu",
          "--flip", "--scales", "0.5,1,1.25"])  # fmt: skip
    assert {mirrored for _, mirrored in views} == {True}
    assert {scale for scale, _ in views} == {0.5, 1.0, 1.25}


def test_scales_that_are_no_numbers(weights: Path, shapes: Path, capsys) -> None:
    words = ("evaluate", str(weights), "--data", str(shapes), "--scales", "0.5;1")
    assert "expected factors such as 0.5,1,1.5, got '0.5;1'" in refusal(capsys, *words)


def mmdet_file(path: Path, **changes: object) -> Path:
    """A checkpoint as MMDetection writes it, of a small network for the shapes' classes."""
    torch.manual_seed(0)
    sizes = SMALL_MODEL | {"pool_channels": 128, "head_channels": 256}
    state = Detector(config_from_dict({"model": sizes}).model, len(CLASSES)).state_dict()
    content = {
        "meta": {"dataset_meta": {"classes": tuple(CLASSES)}, "epoch": 12},
        "state_dict": {f"bbox_{k}" if k.startswith("head.") else k: v for k, v in state.items()},
    }
    torch.save(content | changes, path)
    return path


def test_convert_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = mmdet_file(tmp_path / "epoch_12.pth")
    main(["convert", str(source), "--output", str(tmp_path / "w.pt")])
    text = capsys.readouterr().out
    assert "layout of names: MMDetection" in text
    assert text.splitlines()[-1].startswith(f"{tmp_path / 'w.pt'}: ")
    assert f" {len(load_weights(tmp_path / 'w.pt').state_dict)} tensors, " in text
    assert load_weights(tmp_path / "w.pt").classes == list(CLASSES)


def test_convert_there_and_back(tmp_path: Path) -> None:
    source = mmdet_file(tmp_path / "epoch_12.pth")
    main(["convert", str(source), "--output", str(tmp_path / "w.pt")])
    main(["convert", str(tmp_path / "w.pt"), "--to-mmdet", "--output", str(tmp_path / "back.pth")])
    theirs, back = (torch.load(p, weights_only=True) for p in (source, tmp_path / "back.pth"))
    assert set(theirs["state_dict"]) <= set(back["state_dict"])
    for key, value in theirs["state_dict"].items():
        assert torch.equal(back["state_dict"][key], value)
    assert tuple(back["meta"]["dataset_meta"]["classes"]) == tuple(CLASSES)


def test_convert_leaves_training_out_of_a_checkpoint(tmp_path: Path, weights: Path) -> None:
    content = torch.load(weights, weights_only=True)
    torch.save(content | {"training": {"epoch": 3}}, tmp_path / "last.pt")
    main(["convert", str(tmp_path / "last.pt"), "--output", str(tmp_path / "w.pt")])
    assert load_weights(tmp_path / "w.pt").training is None


def test_convert_lists_what_does_not_fit_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = dict(torch.load(mmdet_file(tmp_path / "x.pth"), weights_only=True)["state_dict"])
    del state["bbox_head.tl_off.0.1.conv.bias"]
    source = mmdet_file(tmp_path / "x.pth", state_dict=state | {"bbox_head.new": torch.ones(1)})
    with pytest.raises(SystemExit):
        main(["convert", str(source), "--output", str(tmp_path / "w.pt")])
    error = capsys.readouterr().err
    assert "missing (1):\n  head.tl_off.0.1.conv.bias" in error
    assert "left over (1):\n  head.new" in error
    assert not (tmp_path / "w.pt").exists()
    main(["convert", str(source), "--allow-partial", "--output", str(tmp_path / "w.pt")])
    assert "reinitialised\nmissing (1):" in capsys.readouterr().out


def test_convert_takes_class_names(tmp_path: Path) -> None:
    source = mmdet_file(tmp_path / "x.pth", meta={})
    names = [f"kind {label}" for label in range(len(CLASSES))]
    main(["convert", str(source), "--classes", ",".join(names),
          "--output", str(tmp_path / "w.pt")])  # fmt: skip
    assert load_weights(tmp_path / "w.pt").classes == names


def test_convert_never_writes_over_its_source(tmp_path: Path, capsys) -> None:
    source = mmdet_file(tmp_path / "x.pth")
    before = source.read_bytes()
    assert "would be written over" in refusal(
        capsys, "convert", str(source), "--output", str(source)
    )
    assert source.read_bytes() == before


def test_a_file_that_would_run_code(tmp_path: Path, capsys) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'sprung'}",)

    source = mmdet_file(tmp_path / "x.pth", message_hub=Trap())
    error = refusal(capsys, "convert", str(source), "--output", str(tmp_path / "w.pt"))
    assert f"found in it the global {os.system.__module__}.system" in error
    assert {path.name for path in tmp_path.iterdir()} == {"x.pth"}


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


def test_synthesize_makes_a_folder_that_trains(tmp_path: Path) -> None:
    main(["data", "synthesize", str(tmp_path / "s"), "--train", "2", "--val", "1", "--seed", "7"])
    assert len(list((tmp_path / "s" / "train").iterdir())) == 2


def test_env_names_versions_devices_and_backends(capsys: pytest.CaptureFixture[str]) -> None:
    main(["env"])
    text = capsys.readouterr().out
    assert torch.__version__ in text and "device cpu" in text and "corner_pool" in text


def test_python_dash_m_is_the_same_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["cornernet", "--help"])
    with pytest.raises(SystemExit):
        runpy.run_module("cornernet", run_name="__main__")
    assert "VERB" in capsys.readouterr().out


# What bad input gets.


def train_words(data: object, output: object, *settings: str) -> list[str]:
    return ["train", "tiny", "--data", str(data), "--output", str(output), "--device", "cpu",
            *settings]  # fmt: skip


def test_no_data_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = refusal(capsys, *train_words(tmp_path / "nowhere", tmp_path / "run"))
    assert "nowhere: expected a data directory" in error and not (tmp_path / "run").exists()


def test_annotations_that_are_not_json(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shutil.copytree(shapes, tmp_path / "data")
    (data / "annotations" / "instances_train.json").write_text('{"images": [')
    assert "expected JSON" in refusal(capsys, *train_words(data, tmp_path / "run"))


def test_a_truncated_picture_during_training(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shutil.copytree(shapes, tmp_path / "data")
    picture = sorted((data / "train").iterdir())[0]
    picture.write_bytes(picture.read_bytes()[:-200])
    with pytest.raises(SystemExit) as stop:
        main(train_words(data, tmp_path / "run"))
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert f"{picture}: " in captured.err and "truncated" in captured.err
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
    assert "instances_train.json" in error and "4711" in error and "dropped 1 of" in error


def test_a_bad_box_is_an_error_if_strict(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bad_box(shapes, tmp_path)
    error = refusal(capsys, *train_words(data, tmp_path / "run", "--data.strict", "true"))
    assert "annotation 4711" in error and "instances_train.json" in error


def test_weights_for_other_classes(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = save_random_weights(tmp_path / "two.pt", ["cat", "dog"])
    error = refusal(capsys, "evaluate", str(weights), "--data", str(shapes), "--device", "cpu")
    assert "2 classes of the weights" in error and "cat" in error and "circle" in error


def test_a_setting_that_does_not_exist(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refusal(capsys, *train_words(shapes, tmp_path / "run", "--train.epoch", "3"))
    assert "did you mean 'train.epochs'?" in error


def test_a_recipe_key_that_does_not_exist(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("train: {learningrate: 1}")
    words = train_words(shapes, tmp_path / "run")
    words[1] = str(recipe)
    error = refusal(capsys, *words)
    assert "mine.yaml" in error and "did you mean 'train.learning_rate'?" in error


def test_a_device_that_is_not_there(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = train_words(shapes, tmp_path / "run")
    words[words.index("cpu")] = "teapot"
    error = refusal(capsys, *words)
    assert "teapot" in error and "cpu" in error and not (tmp_path / "run").exists()


def test_an_output_that_holds_a_run(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("precious")
    error = refusal(capsys, *train_words(shapes, tmp_path / "run"))
    assert "--resume" in error
    assert (tmp_path / "run" / "config.yaml").read_text() == "precious"


def test_an_output_that_cannot_be_made(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    error = refusal(capsys, *train_words(shapes, tmp_path / "file" / "run"))
    assert str(tmp_path / "file") in error


def test_weights_that_are_no_weights(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "w.pt").write_text("hello")
    error = refusal(capsys, "evaluate", str(tmp_path / "w.pt"), "--data", str(shapes))
    assert "expected a weights file" in error


def test_one_bad_picture_does_not_cost_the_others(
    shapes: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(shapes / "val", tmp_path / "pictures")
    broken = sorted(folder.iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:-100])
    with pytest.raises(SystemExit) as stop:
        main(["predict", str(weights), str(folder), "--output", str(tmp_path / "out"),
              "--device", "cpu", "--json", str(tmp_path / "found.json")])  # fmt: skip
    assert stop.value.code == 2 and str(broken) in capsys.readouterr().err
    assert len(json.loads((tmp_path / "found.json").read_text())) == 2
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_a_sheet_of_no_picture_format_is_refused_before_the_work(
    shapes: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refusal(capsys, "predict", str(weights), str(shapes / "val"), "--output",
                    str(tmp_path / "out"), "--device", "cpu", "--sheet",
                    str(tmp_path / "sheet.pdf"))  # fmt: skip
    assert "sheet.pdf: expected a name that ends in" in error and not (tmp_path / "out").exists()


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
    assert "out of memory with 8 pictures of 128×128 at a time on cpu (device out of" in error
    for setting in ("train.micro_batch", "train.checkpoint_activations", "augment.crop_size"):
        assert setting in error


def test_running_out_of_memory_in_prediction_names_what_to_lower(
    shapes: Path, weights: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def starve(*args: object) -> None:
        raise RuntimeError("device out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("cornernet.inference.detect.decode", starve)
    error = refusal(capsys, "evaluate", str(weights), "--data", str(shapes), "--device", "cpu")
    assert str(shapes / "val") in error and "out of memory with 1 pictures of " in error
    for setting in ("test.batch_size", "test.scales", "data.long_side"):
        assert setting in error


def test_a_picture_too_large_for_the_memory_is_named_and_the_others_predicted(
    shapes: Path, weights: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(shapes / "val", tmp_path / "pictures")
    large = folder / "large.png"
    write_image(large, np.zeros((800, 900, 3), np.uint8))
    monkeypatch.setattr("cornernet.inference.detect.free_memory", lambda device: 10**6)
    output = tmp_path / "out"
    error = refusal(capsys, "predict", str(weights), str(folder), "--output", str(output),
                    "--device", "cpu")  # fmt: skip
    assert f"{large}: out of memory with 1 pictures of 911×815" in error
    assert len(list(output.iterdir())) == 3


@pytest.mark.parametrize("setting", ["--data.long_side", "--scales"])
def test_predict_takes_the_settings_that_lower_memory(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    picture = tmp_path / "large.png"
    write_image(picture, np.zeros((800, 800, 3), np.uint8))
    monkeypatch.setattr("cornernet.inference.detect.free_memory", lambda device: 10**6)
    value = {"--data.long_side": "80", "--scales": "0.1"}[setting]
    main(["predict", str(weights), str(picture), "--output", str(tmp_path / "out"),
          "--device", "cpu", setting, value])  # fmt: skip
    assert read_image(tmp_path / "out" / "large.png").shape == (800, 800, 3)


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_precision_that_a_device_lacks_is_a_sentence(
    shapes: Path, weights: Path, tmp_path: Path, capsys, monkeypatch, verb: str
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("\"conv\" not implemented for 'Half'")

    monkeypatch.setattr("cornernet.model.fuse.FusedCornerHead.forward", fail)
    words = {"predict": [str(shapes / "val"), "--output", str(tmp_path / "out")],
             "evaluate": ["--data", str(shapes)]}[verb]  # fmt: skip
    error = refusal(capsys, verb, str(weights), *words, "--device", "cpu", "--precision", "fp16")
    assert "--precision: fp16 is not to be had on cpu" in error and "use fp32" in error


def test_a_picture_of_a_kind_that_is_not_written_becomes_png(weights: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.full((40, 50, 3), 90, np.uint8))
    source = (tmp_path / "a.png").rename(tmp_path / "a.jfif")
    main(["predict", str(weights), str(source), "--output", str(tmp_path / "out"),
          "--device", "cpu", "--score", "1"])  # fmt: skip
    assert (read_image(tmp_path / "out" / "a.jfif.png") == 90).all()


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
    assert "found nothing of that name" in error and not (tmp_path / "out").exists()


def test_predict_never_writes_over_a_source(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "a.png"
    write_image(picture, np.full((64, 64, 3), 200, np.uint8))
    error = refusal(capsys, "predict", str(weights), str(picture), "--output", str(tmp_path),
                    "--device", "cpu")  # fmt: skip
    assert "written over" in error
    assert (read_image(picture) == 200).all()


def test_two_sources_of_one_name(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_image(tmp_path / folder / "a.png", np.zeros((64, 64, 3), np.uint8))
    error = refusal(capsys, "predict", str(weights), str(tmp_path / "one"), str(tmp_path / "two"),
                    "--output", str(tmp_path / "out"), "--device", "cpu")  # fmt: skip
    assert "would both become" in error


def test_a_results_file_in_no_folder_is_refused_before_the_work(
    shapes: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refusal(capsys, "evaluate", str(weights), "--data", str(shapes), "--device", "cpu",
                    "--metrics", str(tmp_path / "no" / "m.json"))  # fmt: skip
    assert "m.json" in error


def test_a_reader_that_stops_early_sees_no_traceback() -> None:
    command = f"{sys.executable} -m cornernet train --help | head -1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=Path(__file__).parent.parent
    )
    assert done.stdout.startswith("usage:") and done.stderr == ""
