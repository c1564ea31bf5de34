"""A prediction in the forms that others want."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cornernet.data.images import read_image
from cornernet.prediction import Prediction
from tests.errors import raises


def prediction(number: int = 2, **others: Any) -> Prediction:
    boxes = np.array([[10, 20, 40, 60], [1.5, 2, 3, 4]], np.float32)[:number]
    fields: dict[str, Any] = {
        "boxes": boxes,
        "scores": np.array([0.75, 0.5], np.float32)[:number],
        "labels": np.array([3, 0])[:number],
        "class_names": ["dog", "cat"][:number],
        "image": np.full((80, 100, 3), 255, np.uint8),
        "file": "a.jpg",
        "width": 100,
        "height": 80,
    }
    return Prediction(**{**fields, **others})


def test_what_it_was_made_of_before_suffices() -> None:
    old = prediction()
    new = Prediction(old.boxes, old.scores, old.labels, old.class_names)
    assert len(new) == 2 and new.to_dict()["file"] is None
    assert repr(new) == "<Prediction: 2 objects in an image: dog 0.75, cat 0.50>"


def test_a_repr_says_what_was_found_and_where() -> None:
    assert repr(prediction()) == "<Prediction: 2 objects in a.jpg, 100×80: dog 0.75, cat 0.50>"
    assert repr(prediction(0, file=None)) == "<Prediction: 0 objects in an image, 100×80>"
    text = repr(prediction(1, class_names=["\x1b[1m"], file="a\n.mp4", frame=7, time=0.28))
    assert text == r"<Prediction: 1 object in a\n.mp4, frame 7, 100×80: \x1b[1m 0.75>"
    many = prediction(boxes=np.zeros((9, 4)), scores=np.ones(9), class_names=["x"] * 9)
    assert repr(many).endswith("x 1.00, x 1.00, …>") and repr(many).count("x 1.00") == 5


def test_a_dictionary_is_plain_data() -> None:
    first = {"box": [10.0, 20.0, 40.0, 60.0], "score": 0.75, "label": 3, "class": "dog"}
    second = {"box": [1.5, 2.0, 3.0, 4.0], "score": 0.5, "label": 0, "class": "cat"}
    wanted = {"file": "a.jpg", "width": 100, "height": 80, "detections": [first, second]}
    assert prediction().to_dict() == wanted
    assert (
        json.loads(prediction().to_json()) == json.loads(prediction().to_json(indent=1)) == wanted
    )
    frame = prediction(0, frame=3, time=0.12).to_dict()
    assert (frame["frame"], frame["time"], frame["detections"]) == (3, 0.12, [])


def test_coco_results_number_classes_from_one_or_as_told() -> None:
    dog, cat = prediction().to_coco(17)
    assert dog == {"image_id": 17, "category_id": 4, "bbox": [10, 20, 30, 40], "score": 0.75}
    assert (cat["category_id"], cat["bbox"]) == (1, [1.5, 2, 1.5, 2])
    assert [item["category_id"] for item in prediction().to_coco("x", [9, 8, 7, 6])] == [6, 9]
    assert prediction(0).to_coco(1) == []


def test_boxes_are_drawn_in_their_place_and_the_pixels_stay(tmp_path: Path) -> None:
    one = prediction()
    drawn = np.asarray(one.plot())
    assert drawn.shape == (80, 100, 3) and (drawn[40, 10] != 255).any()
    assert (drawn[70:, 50:] == 255).all()
    assert one.image is not None and (one.image == 255).all()
    one.save(tmp_path / "drawn.png")
    np.testing.assert_array_equal(read_image(tmp_path / "drawn.png"), drawn)
    assert (np.asarray(prediction(0).plot()) == 255).all()


def test_without_pixels_nothing_is_drawn(tmp_path: Path) -> None:
    with raises("no pixels", field="image"):
        prediction(image=None).save(tmp_path / "a.png")
    with raises("a.pdf"):
        prediction().save(tmp_path / "a.pdf")
    assert not list(tmp_path.iterdir())


def test_it_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(prediction())).to_dict() == prediction().to_dict()


def test_supervision_gets_boxes_scores_and_names() -> None:
    pytest.importorskip("supervision")
    found = prediction().to_supervision()
    np.testing.assert_array_equal(found.xyxy, prediction().boxes)
    assert found.confidence is not None and found.confidence.tolist() == [0.75, 0.5]
    assert found.class_id is not None and found.class_id.tolist() == [3, 0]
    assert found.data["class_name"].tolist() == ["dog", "cat"]
    assert len(prediction(0).to_supervision()) == 0


def test_without_supervision_its_installation_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with raises("pip install supervision"):
        prediction().to_supervision()
