"""Views of an image and the way back, and detection in a batch."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch

import cornernet.inference.memory as module
from cornernet.config import Config, config_from_dict
from cornernet.config import TestConfig as Settings
from cornernet.errors import OutOfMemory
from cornernet.inference.detect import detect, of_images
from cornernet.inference.views import View, geometry_of
from cornernet.model.detector import Detector
from cornernet.model.fuse import FusedDetector
from cornernet.parts.corners.structures import Outputs
from cornernet.structures import Candidates, Keypoints, OfView
from tests.inference.test_two_pass import SETTINGS as OF_TWO_PASSES
from tests.small import SMALL_MODEL
from tests.views import boxes_to_original, make_view


def config(**sections: dict) -> Config:
    model = SMALL_MODEL | sections.pop("model", {})
    return config_from_dict({"model": model, **sections})


def network_of(settings: Config, classes: int = 2) -> Detector:
    torch.manual_seed(0)
    return Detector(settings.model, classes).eval()


def model_of(settings: Config, classes: int = 2) -> FusedDetector:
    return FusedDetector(network_of(settings, classes))


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("side", "multiple", "canvas"),
    [(640, 128, 767), (480, 128, 511), (127, 128, 127), (128, 128, 255), (1, 128, 127),
     (63, 32, 63), (64, 32, 95), (50, 1, 50)],
)  # fmt: skip
def test_canvas_is_one_less_than_a_multiple(side: int, multiple: int, canvas: int) -> None:
    view, _ = make_view(picture(side, side), config(test={"pad_multiple": multiple}))
    assert view.shape == (canvas, canvas, 3)


@pytest.mark.parametrize("size", [(30, 41), (31, 31), (1, 200), (127, 64)])
def test_the_whole_picture_lies_on_the_canvas(size: tuple[int, int]) -> None:
    image = picture(*size)
    canvas, view = make_view(image, config(test={"pad_multiple": 32}))
    left, top = view.origin
    np.testing.assert_array_equal(canvas[top : top + size[0], left : left + size[1]], image)
    outside = np.ones(canvas.shape[:2], bool)
    outside[top : top + size[0], left : left + size[1]] = False
    mean = (123.675, 116.28, 103.53)
    np.testing.assert_allclose(canvas[outside], np.broadcast_to(mean, canvas[outside].shape))


def test_the_colour_around_a_picture_can_be_set() -> None:
    settings = config(test={"pad_multiple": 32}, model={"padding_color": [0, 0, 9]})
    canvas, _ = make_view(picture(20, 20), settings)
    assert canvas[0, 0].tolist() == [0, 0, 9]


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize(("scale", "long_side"), [(1.0, 0), (0.5, 0), (1.7, 0), (1.0, 90)])
def test_boxes_find_their_way_back(flipped: bool, scale: float, long_side: int) -> None:
    height, width = 60, 100
    settings = config(test={"pad_multiple": 32}, data={"long_side": long_side})
    image = np.full((height, width, 3), 255, np.uint8)
    image[20:40, 10:30] = 0  # a box, left of the middle
    canvas, view = make_view(image, settings, scale, flipped)
    left, top = view.origin
    inside = canvas[top:-1, left:-1].mean(axis=2)
    rows, columns = np.nonzero(inside < 60)
    found = torch.tensor(
        [[columns.min() + left, rows.min() + top, columns.max() + left + 1, rows.max() + top + 1]],
        dtype=torch.float32,
    )
    back = boxes_to_original(found, view, flipped)[0]
    torch.testing.assert_close(back, torch.tensor([10.0, 20, 30, 40]), atol=2.0, rtol=0)


def test_boxes_are_clipped_to_the_picture() -> None:
    _, view = make_view(picture(40, 50), config(test={"pad_multiple": 64}))
    boxes = boxes_to_original(torch.tensor([[-100.0, -100, 500, 500]]), view)
    assert boxes.tolist() == [[0, 0, 50, 40]]


def test_flipping_joins_the_candidates_of_both_views() -> None:
    # A network that sees an object only in the left half finds a right one in the mirror.
    settings = config(test={"pad_multiple": 1, "flip": True, "nms": "none"})

    class LeftOnly(FusedDetector):
        def forward(self, images: torch.Tensor, locate: bool = True) -> dict[str, Outputs]:
            n, _, height, width = images.shape
            heat = images.new_full((2, n, 1, height // 4, width // 4), -10.0)
            heat[0, :, 0, 2, 1], heat[1, :, 0, 6, 4] = 5.0, 5.0
            zeros = images.new_zeros(n, 2, height // 4, width // 4)
            maps = Outputs(heat[0], heat[1], zeros[:, :1], zeros[:, :1], zeros, zeros)
            return {"corners": maps}

    model = LeftOnly(network_of(settings, classes=1))
    found = detect(model, [picture(40, 80)], settings)[0]
    best = found.select(found.scores > 0.9)
    assert sorted(best.boxes.tolist()) == [[4, 8, 16, 24], [64, 8, 76, 24]]


def test_pictures_run_together_as_they_do_alone() -> None:
    settings = config(test={"pad_multiple": 32, "flip": True, "scales": [0.5, 1.0]})
    model = model_of(settings)
    images = [picture(50, 70, seed) for seed in range(3)]
    for together, image in zip(detect(model, images, settings), images, strict=True):
        alone = detect(model, [image], settings)[0]
        torch.testing.assert_close(together.scores, alone.scores, atol=1e-5, rtol=0)
        torch.testing.assert_close(together.boxes[:5], alone.boxes[:5], atol=1e-2, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (500, 3)])
def test_pictures_of_any_size_are_taken(size: tuple[int, int]) -> None:
    settings = config(test={"pad_multiple": 32})
    found = detect(model_of(settings), [picture(*size)], settings)[0]
    assert len(found.boxes) == len(found.scores) == len(found.labels)


def starved(settings: Config, number: int = 1) -> str:
    with pytest.raises(OutOfMemory) as caught:
        detect(model_of(settings), [picture(40, 60)] * number, settings)
    return str(caught.value)


@pytest.mark.parametrize(
    "error", [RuntimeError("out of memory. Tried to allocate 2 GiB"), MemoryError("no 2 GiB")]
)
def test_want_of_memory_names_batch_size_and_what_to_lower(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def starve(*_: object) -> None:
        raise error

    monkeypatch.setattr(FusedDetector, "decode", starve)
    sentence = starved(config(test={"pad_multiple": 16, "flip": True}), 3)
    assert "with 6 images of 63×47 at a time on cpu" in sentence and str(error) in sentence
    for setting in ("test.batch_size", "test.scales", "data.long_side"):
        assert setting in sentence


def test_what_is_no_want_of_memory_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(FusedDetector, "decode", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        detect(model_of(config()), [picture(40, 60)], config())


def test_a_picture_is_refused_before_the_system_stops_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 8 maps of 8 channels, 11 × 15 cells and 4 bytes.
    monkeypatch.setattr(module, "free_memory", lambda device: 8 * 8 * 11 * 15 * 4 - 1)
    assert "GiB or more" in starved(config(test={"pad_multiple": 16}))
    monkeypatch.setattr(module, "free_memory", lambda device: 8 * 8 * 11 * 15 * 4)
    settings = config(test={"pad_multiple": 16})
    assert len(detect(model_of(settings), [picture(40, 60)], settings)) == 1


def test_candidates_of_both_scales_count(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = config(test={"pad_multiple": 16, "scales": [0.5, 1.0, 2.0]})
    sizes: list[Any] = []
    original = FusedDetector.decode

    def spy(model: FusedDetector, maps: Any, test: Any, size: Any) -> Any:
        sizes.append(size)
        return original(model, maps, test, size)

    monkeypatch.setattr(FusedDetector, "decode", spy)
    detect(model_of(settings), [picture(40, 60)], settings)
    assert sizes == [(31, 31), (47, 63), (95, 127)]


# For each setting of the section test: values that must give other detections than the defaults
# here. Batches of pictures must not: see test_pictures_run_together_as_they_do_alone.
SETTINGS: dict[str, dict] = {
    "topk": {"topk": 7},
    "peak_kernel": {"peak_kernel": 7},
    "distance_threshold": {"distance_threshold": 0.0},
    "pair_score": {"pair_score": "geometric"},
    "skip_border": {"skip_border": True},
    "center_weight": {"center_weight": 3.0},
    "center_rule": {"center_rule": "verify"},
    "max_outside": {"max_outside": 0.5, "pad_multiple": 64, "topk": 100},
    "max_pairs": {"max_pairs": 3},
    "score_threshold": {"score_threshold": 0.1},
    "max_per_image": {"max_per_image": 4},
    "nms": {"nms": "none"},
    "nms_iou": {"nms": "linear", "nms_iou": 0.9},
    "nms_sigma": {"nms_sigma": 0.05},
    "nms_min_score": {"nms_min_score": 0.1},
    "merge_exponent": {"merge_exponent": 2.0},
    "flip": {"flip": True},
    "scales": {"scales": [0.5, 1.0]},
    "tta_merge": {"flip": True, "tta_merge": "mmdet3"},
    "pad_multiple": {"pad_multiple": 64},
}


def test_every_setting_is_tested() -> None:
    no_detection = {"batch_size", "crop_batch", "evaluator"}  # must not change any
    names = {item.name for item in fields(Settings)} - no_detection
    assert set(SETTINGS) | set(OF_TWO_PASSES) == names


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_acts(name: str) -> None:
    base = {"pad_multiple": 16, "topk": 30, "max_per_image": 50}
    with_it = base | SETTINGS[name]
    without = {key: value for key, value in with_it.items() if key != name} | (
        {name: base[name]} if name in base else {}
    )
    settings = config(model={"parts": ["corners", "centers"]})
    model, image = model_of(settings), picture(60, 80)
    found, other = (detect(model, [image], config(test=test))[0] for test in (with_it, without))
    same = len(found) == len(other) and torch.equal(found.boxes, other.boxes)
    assert len(other) > 4 and not (same and torch.equal(found.scores, other.scores))


def test_boxes_that_reach_too_far_beyond_their_view_are_left_out() -> None:
    # 80 x 60 pixels of an image of 40 x 30, 10 from the left and 20 from the top of the canvas.
    view = View(np.zeros((60, 80, 3), np.uint8), (30, 40), (99, 99), (2.0, 2.0), (10, 20))
    rows = [
        [10.0 - 4.9, 20.0, 60.0, 60.0],
        [10.0 - 5.0, 20.0, 60.0, 60.0],
        [20.0, 20.0 - 5.0, 60.0, 60.0],
        [20.0, 30.0, 90.0 + 5.0, 60.0],
        [20.0, 30.0, 60.0, 80.0 + 4.9],
        [20.0, 30.0, 60.0, 80.0 + 5.0],
    ]
    boxes = torch.tensor([rows, rows])
    found = OfView(Candidates(boxes, torch.ones(2, 6), torch.zeros(2, 6).long()), {})
    mirrored, plain = of_images(found, geometry_of([view]), Settings(flip=True, max_outside=5.0))
    assert plain.candidates.labels.tolist() == [[0, -1, -1, -1, 0, -1]]
    assert plain.candidates.boxes[0, 0].tolist() == [0.0, 0.0, 25.0, 20.0]
    assert mirrored.candidates.labels.tolist() == plain.candidates.labels.tolist()
    assert mirrored.candidates.boxes[0, 0].tolist() == [15.0, 0.0, 40.0, 20.0]


def test_keypoints_travel_to_the_image_as_boxes_do() -> None:
    view = View(np.zeros((60, 80, 3), np.uint8), (30, 40), (99, 99), (2.0, 2.0), (10, 20))
    nothing = Candidates(torch.zeros(2, 1, 4), torch.zeros(2, 1), torch.zeros(2, 1).long())
    points = Keypoints(
        torch.tensor([[[30.0, 40.0]], [[30.0, 40.0]]]), torch.ones(2, 1), torch.zeros(2, 1).long()
    )
    mirrored, plain = of_images(
        OfView(nothing, {"x": points}), geometry_of([view]), Settings(flip=True)
    )
    assert plain.keypoints["x"].points.tolist() == [[[10.0, 10.0]]]
    assert mirrored.keypoints["x"].points.tolist() == [[[30.0, 10.0]]]
