"""COCO's numbers: perfect detections, none, and classes in another order."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cornernet.data.coco import CocoDataset
from cornernet.data.shapes import CLASSES
from cornernet.data.synthetic import synthesize
from cornernet.inference.evaluate import METRICS, check_evaluator, coco_evaluation, coco_results
from cornernet.structures import Detections
from tests.errors import raises
from tests.inference.random_split import random_split


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(
        tmp_path_factory.mktemp("data") / "shapes", train=1, val=6, min_side=96, max_side=128
    )


def truth(dataset: CocoDataset) -> dict[int, Detections]:
    """Detections that say what the annotations say."""
    found = {}
    for index in range(len(dataset)):
        sample = dataset.load(index)
        boxes = torch.from_numpy(sample.boxes)
        labels = torch.from_numpy(sample.labels)
        found[sample.image_id] = Detections(boxes, torch.ones(len(boxes)), labels)
    return found


def test_perfect_detections_have_ap_one(shapes: Path) -> None:
    dataset = CocoDataset(shapes, "val")
    evaluation = coco_evaluation(dataset, coco_results(truth(dataset), dataset.category_ids))
    assert tuple(evaluation.metrics) == METRICS
    assert evaluation.metrics["AP"] == pytest.approx(1.0)
    assert set(evaluation.class_ap) == set(CLASSES)
    assert all(value in (-1.0, pytest.approx(1.0)) for value in evaluation.class_ap.values())


def test_no_detections_have_ap_zero(shapes: Path) -> None:
    evaluation = coco_evaluation(CocoDataset(shapes, "val"), [])
    assert evaluation.metrics["AP"] == 0.0 and evaluation.metrics["AR100"] == 0.0


def test_a_shifted_box_counts_at_the_iou_it_has(shapes: Path) -> None:
    dataset = CocoDataset(shapes, "val")
    found = truth(dataset)
    for detections in found.values():
        size = detections.boxes[:, 2:] - detections.boxes[:, :2]
        detections.boxes[:, 2] = detections.boxes[:, 0] + 0.68 * size[:, 0]  # IoU 0.68
    metrics = coco_evaluation(dataset, coco_results(found, dataset.category_ids)).metrics
    assert metrics["AP50"] == pytest.approx(1.0) and metrics["AP75"] == 0.0
    assert metrics["AP"] == pytest.approx(0.4)  # of 0.50, 0.55, …, 0.95 the first four


def test_labels_follow_the_order_of_the_weights(shapes: Path) -> None:
    dataset = CocoDataset(shapes, "val", classes=CLASSES[::-1])
    evaluation = coco_evaluation(dataset, coco_results(truth(dataset), dataset.category_ids))
    assert evaluation.metrics["AP"] == pytest.approx(1.0)
    assert list(evaluation.class_ap) == list(CLASSES[::-1])


def test_a_wrong_class_costs_only_its_class(shapes: Path) -> None:
    dataset = CocoDataset(shapes, "val")
    found = truth(dataset)
    for image_id, detections in found.items():
        found[image_id] = detections.select(detections.labels != 0)
    class_ap = coco_evaluation(dataset, coco_results(found, dataset.category_ids)).class_ap
    assert class_ap[CLASSES[0]] == 0.0
    assert all(class_ap[name] in (-1.0, pytest.approx(1.0)) for name in CLASSES[1:])


def test_an_annotation_with_id_zero_is_found(shapes: Path, tmp_path: Path) -> None:
    # pycocotools marks "not found" by id 0; files made at home often count from 0.
    data = shutil.copytree(shapes, tmp_path / "data")
    file = data / "annotations" / "instances_val.json"
    content = json.loads(file.read_text())
    for number, entry in enumerate(content["annotations"]):
        entry["id"] = number
        entry["area"] = None
    file.write_text(json.dumps(content))
    dataset = CocoDataset(data, "val")
    evaluation = coco_evaluation(dataset, coco_results(truth(dataset), dataset.category_ids))
    assert evaluation.metrics["AP"] == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(5))
def test_faster_coco_eval_gives_the_same_numbers(tmp_path: Path, seed: int) -> None:
    pytest.importorskip("faster_coco_eval", reason="faster-coco-eval is not installed")
    dataset, found = random_split(tmp_path, seed, images=20)
    image_id, crowded = next((key, value) for key, value in found.items() if len(value))
    found[image_id] = Detections(  # more than the 100 of a class and image that count
        crowded.boxes.repeat(200, 1), crowded.scores.repeat(200), crowded.labels.repeat(200)
    )
    results = coco_results(found, dataset.category_ids)
    wanted = coco_evaluation(dataset, results)
    faster = coco_evaluation(dataset, results, "faster-coco-eval")
    assert list(faster.metrics) == list(wanted.metrics)
    assert faster.metrics == pytest.approx(wanted.metrics, abs=1e-12)
    for name, numbers in wanted.class_metrics.items():
        assert faster.class_metrics[name] == pytest.approx(numbers, abs=1e-12)
    values = np.array(list(wanted.metrics.values()))
    assert ((0 < values) & (values < 1)).sum() > 6


def test_an_evaluator_that_is_not_installed_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with raises("pip install faster-coco-eval", field="test.evaluator"):
        check_evaluator("faster-coco-eval")
    check_evaluator("pycocotools")
