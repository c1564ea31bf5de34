"""`cornernet evaluate`: its tables and files, and one sentence for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cornernet.cli import main
from cornernet.data.images import write_image
from cornernet.data.shapes import CLASSES
from cornernet.inference.evaluate import METRICS

from .helpers import refusal, save_random_weights


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


NAMES = ["box [/open]", "[red]", ":phone:", "[bold]x[/bold]"]


def test_class_names_are_never_markup_and_absent_classes_have_no_ap(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    write_image(tmp_path / "images" / "[red].png", np.zeros((64, 64, 3), np.uint8))
    content = {
        "images": [{"id": "x", "file_name": "[red].png", "width": 64, "height": 64}],
        "annotations": [
            {"id": place, "image_id": "x", "category_id": place, "bbox": [4 * place, 4, 20, 20]}
            for place in (0, 1, 2)
        ],
        "categories": [{"id": place, "name": name} for place, name in enumerate(NAMES)],
    }
    (tmp_path / "[red].json").write_text(json.dumps(content))
    weights = save_random_weights(tmp_path / "w.pt", NAMES)
    detections = tmp_path / "found" / "detections.json"
    detections.parent.mkdir()
    main(["evaluate", str(weights), "--data", str(tmp_path), "--split", "all", "--device", "cpu",
          "--json", str(detections)])  # fmt: skip
    out = capsys.readouterr().out
    rows = [line for line in out.splitlines() if line.startswith("│")]
    assert len(rows) == len(NAMES)
    assert all(name in row for name, row in zip(NAMES, rows, strict=True))
    assert "[red].json" in out
    assert "n/a" in rows[3] and "-1" not in out
    assert {item["image_id"] for item in json.loads(detections.read_text())} == {"x"}


def test_detections_file_is_what_pycocotools_reads(
    shapes: Path, weights: Path, tmp_path: Path
) -> None:
    from pycocotools.coco import COCO

    detections = tmp_path / "detections.json"
    main(["evaluate", str(weights), "--data", str(shapes), "--device", "cpu",
          "--json", str(detections)])  # fmt: skip
    truth = COCO(str(shapes / "annotations" / "instances_val.json"))
    assert truth.loadRes(str(detections)).getAnnIds()


def test_weights_for_other_classes(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = save_random_weights(tmp_path / "two.pt", ["cat", "dog"])
    error = refusal(capsys, "evaluate", str(weights), "--data", str(shapes), "--device", "cpu")
    assert "cat" in error and "circle" in error


def test_weights_that_are_no_weights(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "w.pt").write_text("hello")
    error = refusal(capsys, "evaluate", str(tmp_path / "w.pt"), "--data", str(shapes))
    assert "w.pt" in error and "weights" in error


def test_running_out_of_memory_in_prediction_names_what_to_lower(
    shapes: Path, weights: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def starve(*args: object) -> None:
        raise RuntimeError("device out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("cornernet.model.fuse.FusedDetector.decode", starve)
    error = refusal(capsys, "evaluate", str(weights), "--data", str(shapes), "--device", "cpu")
    assert str(shapes / "val") in error and "out of memory with 1 " in error
    for flag in ("--batch-size", "--scales", "--data.long_side"):
        assert flag in error


def test_a_results_file_in_no_directory_is_refused_before_the_work(
    shapes: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refusal(capsys, "evaluate", str(weights), "--data", str(shapes), "--device", "cpu",
                    "--metrics", str(tmp_path / "no" / "m.json"))  # fmt: skip
    assert "m.json" in error
