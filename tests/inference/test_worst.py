"""The images with most errors, and detections read back from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cornernet.data.coco import CocoDataset
from cornernet.data.synthetic import synthesize
from cornernet.errors import UserError
from cornernet.inference.evaluate import coco_results
from cornernet.inference.matching import match_split
from cornernet.inference.results import read_results
from cornernet.inference.worst import Errors, worst_images
from cornernet.structures import Detections


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> CocoDataset:
    root = tmp_path_factory.mktemp("worst") / "shapes"
    return CocoDataset(synthesize(root, train=1, val=4, min_side=64, max_side=96), "val")


def perfect(dataset: CocoDataset) -> dict[int, Detections]:
    found = {}
    for index in range(len(dataset)):
        sample = dataset.load(index)
        scores = torch.linspace(0.9, 0.5, len(sample.boxes))
        boxes, labels = torch.from_numpy(sample.boxes), torch.from_numpy(sample.labels)
        found[sample.image_id] = Detections(boxes, scores, labels)
    return found


def test_an_image_without_an_error_is_not_shown(dataset: CocoDataset) -> None:
    matches = match_split(dataset, perfect(dataset))
    assert worst_images(matches, 0.3, 4) == []
    assert worst_images(match_split(dataset, {}), 0.3, 0) == []


def test_most_errors_come_first_and_then_the_surest(dataset: CocoDataset) -> None:
    found = perfect(dataset)
    ids = [dataset.info(index).id for index in range(4)]
    objects = [len(found[image]) for image in ids]
    del found[ids[1]]
    for index, score in ((2, 0.6), (3, 0.8)):
        item, extra = found[ids[index]], torch.tensor([[0.0, 0.0, 3.0, 3.0]])
        found[ids[index]] = Detections(
            torch.cat([item.boxes, extra]),
            torch.cat([item.scores, torch.tensor([score])]),
            torch.cat([item.labels, torch.zeros(1, dtype=torch.int64)]),
        )
    matches = match_split(dataset, found)
    wanted = [Errors(1, objects[1], 0), Errors(3, 0, 1), Errors(2, 0, 1)]
    assert objects[1] > 1
    assert worst_images(matches, 0.4, 9) == wanted
    assert worst_images(matches, 0.4, 2) == wanted[:2]
    # From a score of 0.7, the false detection of image 2 does not count.
    assert sum(errors.false for errors in worst_images(matches, 0.7, 9)) == 1


def test_results_come_back_as_they_were_written(dataset: CocoDataset, tmp_path: Path) -> None:
    found = perfect(dataset)
    file = tmp_path / "found.json"
    file.write_text(json.dumps(dataset.as_given(coco_results(found, dataset.category_ids))))
    back = read_results(file, dataset)
    assert back.keys() == {image for image, item in found.items() if len(item)}
    for image, item in back.items():
        np.testing.assert_allclose(item.boxes, found[image].boxes, rtol=1e-6)
        np.testing.assert_allclose(item.scores, found[image].scores)
        assert item.labels.tolist() == found[image].labels.tolist()


GOOD = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5], "score": 0.5}


@pytest.mark.parametrize(
    "change",
    [{"image_id": 999}, {"category_id": 999}, {"bbox": [0, 0, 5]}, {"score": "high"},
     {"image_id": [1]}, {"score": float("nan")}],
)  # fmt: skip
def test_an_entry_that_fits_no_dataset_is_named(
    dataset: CocoDataset, tmp_path: Path, change: dict[str, Any]
) -> None:
    (tmp_path / "found.json").write_text(json.dumps([GOOD, GOOD | change]))
    with pytest.raises(UserError, match=r"found\.json: expected entry 1"):
        read_results(tmp_path / "found.json", dataset)


@pytest.mark.parametrize("text", ["{", "{}", "5", "[" * 99_999, "[7]"])
def test_a_file_that_holds_no_detections_is_refused(
    dataset: CocoDataset, tmp_path: Path, text: str
) -> None:
    (tmp_path / "found.json").write_text(text)
    with pytest.raises(UserError, match=r"found\.json"):
        read_results(tmp_path / "found.json", dataset)
