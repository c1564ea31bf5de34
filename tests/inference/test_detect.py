"""Views of a picture and the way back, sources, and the Python interface."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from small import SMALL_MODEL

import cornernet.inference.detect as predict
from cornernet import CornerNet
from cornernet.config import Config
from cornernet.config import TestConfig as Settings
from cornernet.data.images import write_image
from cornernet.errors import OutOfMemory, UserError
from cornernet.inference.detect import (
    detect,
    detect_stream,
    expand_sources,
    make_view,
    merge,
    suppress,
)
from cornernet.model.detector import CornerDetector
from cornernet.parts.corners.structures import Outputs
from cornernet.structures import Detections
from cornernet.weights.file import Weights, save_weights


def config(**sections: dict) -> Config:
    model = SMALL_MODEL | sections.pop("model", {})
    return Config.from_dict({"model": model, **sections})


def model_of(settings: Config, classes: int = 2) -> CornerDetector:
    torch.manual_seed(0)
    return CornerDetector(settings.model, classes).eval()


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
    back = view.to_original(found)[0]
    torch.testing.assert_close(back, torch.tensor([10.0, 20, 30, 40]), atol=2.0, rtol=0)


def test_boxes_are_clipped_to_the_picture() -> None:
    _, view = make_view(picture(40, 50), config(test={"pad_multiple": 64}))
    boxes = view.to_original(torch.tensor([[-100.0, -100, 500, 500]]))
    assert boxes.tolist() == [[0, 0, 50, 40]]


def test_flipping_joins_the_candidates_of_both_views() -> None:
    # A network that sees an object only in the left half finds a right one in the mirror.
    settings = config(test={"pad_multiple": 1, "flip": True, "nms": "none"})

    class LeftOnly(torch.nn.Module):
        pixel_mean = torch.zeros(3, 1, 1)

        def forward(self, images: torch.Tensor) -> list[Outputs]:
            n, _, height, width = images.shape
            heat = images.new_full((2, n, 1, height // 4, width // 4), -10.0)
            heat[0, :, 0, 2, 1], heat[1, :, 0, 6, 4] = 5.0, 5.0
            zeros = images.new_zeros(n, 2, height // 4, width // 4)
            return [Outputs(heat[0], heat[1], zeros[:, :1], zeros[:, :1], zeros, zeros)]

    found = detect(LeftOnly(), [picture(40, 80)], settings)[0]
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

    monkeypatch.setattr(predict, "decode", starve)
    sentence = starved(config(test={"pad_multiple": 16, "flip": True}), 3)
    assert "with 6 pictures of 63×47 at a time on cpu" in sentence and str(error) in sentence
    for setting in ("test.batch_size", "test.scales", "data.long_side"):
        assert setting in sentence


def test_what_is_no_want_of_memory_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(predict, "decode", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        detect(model_of(config()), [picture(40, 60)], config())


def test_a_picture_is_refused_before_the_system_stops_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 8 maps of 8 channels, 11 × 15 cells and 4 bytes.
    monkeypatch.setattr(predict, "free_memory", lambda device: 8 * 8 * 11 * 15 * 4 - 1)
    assert "GiB or more" in starved(config(test={"pad_multiple": 16}))
    monkeypatch.setattr(predict, "free_memory", lambda device: 8 * 8 * 11 * 15 * 4)
    settings = config(test={"pad_multiple": 16})
    assert len(detect(model_of(settings), [picture(40, 60)], settings)) == 1


def test_a_picture_too_large_for_the_memory_does_not_keep_from_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predict, "free_memory", lambda device: 10**6)
    settings = config(test={"pad_multiple": 16})
    sizes = [(40, 60), (800, 900), (50, 60)]
    found = list(detect_stream(model_of(settings), sizes, lambda size: picture(*size), settings))
    assert [item for item, _ in found] == sizes
    kinds = [Detections, OutOfMemory, Detections]
    assert [type(result) for _, result in found] == kinds


def test_large_pictures_are_not_read_far_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = config(test={"pad_multiple": 16}, data={"workers": 12})
    pixels = 40 * 60 + 47 * 63
    monkeypatch.setattr(predict, "_PIXELS_AHEAD", 3 * pixels)
    read, ahead = [], []

    def reader(number: int) -> np.ndarray:
        read.append(number)
        return picture(40, 60, number)

    for number, _ in detect_stream(model_of(settings), range(20), reader, settings):
        ahead.append(len(read) - number - 1)
    # The three that wait, the one that has just been taken, and one with which it may be joined.
    assert len(ahead) == 20 and max(ahead) <= 5


def test_score_threshold_and_limit_act() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30], [40, 40, 50, 50]])
    candidates = Detections(boxes, torch.tensor([0.9, 0.5, 0.2]), torch.zeros(3, dtype=torch.int64))
    assert len(suppress(candidates, config(test={"score_threshold": 0.4}).test)) == 2
    assert len(suppress(candidates, config(test={"max_per_image": 1}).test)) == 1


def test_a_folder_gives_its_pictures_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in expand_sources([str(tmp_path)])] == ["a.JPG", "b.png"]


def test_a_folder_that_is_called_like_a_picture_is_none(tmp_path: Path) -> None:
    (tmp_path / "album.jpg").mkdir()
    (tmp_path / "a.jpg").write_bytes(b"")
    assert [path.name for path in expand_sources([str(tmp_path)])] == ["a.jpg"]


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found none"):
        list(expand_sources([str(tmp_path)]))


@pytest.fixture
def detector(tmp_path: Path) -> CornerNet:
    settings = config(test={"pad_multiple": 16})
    model = model_of(settings)
    save_weights(Weights(model.state_dict(), ["cat", "dog"], settings), tmp_path / "w.pt")
    return CornerNet.from_pretrained(tmp_path / "w.pt", device="cpu")


def test_a_path_and_its_pixels_are_predicted_alike(detector: CornerNet, tmp_path: Path) -> None:
    image = picture(40, 60)
    write_image(tmp_path / "a.png", image)
    by_path = detector.predict(tmp_path / "a.png", score_threshold=0.05)
    by_pixels = detector.predict(image, score_threshold=0.05)
    assert len(by_path) > 0
    np.testing.assert_array_equal(by_path.boxes, by_pixels.boxes)
    np.testing.assert_array_equal(by_path.scores, by_pixels.scores)


def test_predictions_carry_names_and_fall_in_score(detector: CornerNet) -> None:
    found = detector.predict(picture(40, 60), score_threshold=0.05)
    assert [("cat", "dog")[label] for label in found.labels] == found.class_names
    assert (np.diff(found.scores) <= 0).all() and (found.scores >= 0.05).all()
    assert found.boxes.shape == (len(found), 4) and (found.boxes[:, 2] <= 60).all()


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), "u1")],
)
def test_pixels_of_another_kind_are_refused(detector: CornerNet, image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected image to have shape \[H, W, 3\]"):
        detector.predict(image)


def test_candidates_of_both_scales_count(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = config(test={"pad_multiple": 16, "scales": [0.5, 1.0, 2.0]})
    sizes = []
    original = predict.decode

    def spy(outputs, test, size):
        sizes.append(size)
        return original(outputs, test, size)

    monkeypatch.setattr(predict, "decode", spy)
    detect(model_of(settings), [picture(40, 60)], settings)
    assert sizes == [(31, 31), (47, 63), (95, 127)]


def view_of(boxes: list[list[float]], scores: list[float]) -> Detections:
    labels = torch.zeros(len(scores), dtype=torch.int64)
    return Detections(torch.tensor(boxes), torch.tensor(scores), labels)


def test_views_are_joined_before_one_suppression() -> None:
    box, other = [0.0, 0, 10, 10], [50.0, 50, 60, 60]
    views = [view_of([box, box], [0.9, 0.8]), view_of([other], [0.7])]
    found = merge(views, config(test={"nms": "gaussian", "nms_sigma": 0.5}).test)
    assert found.scores.tolist() == pytest.approx([0.9, 0.7, 0.8 * math.exp(-2)])


def test_views_can_be_suppressed_twice_as_in_mmdetection_3() -> None:
    box, other = [0.0, 0, 10, 10], [50.0, 50, 60, 60]
    views = [view_of([box, box], [0.9, 0.8]), view_of([other, box], [0.7, 0.5])]
    found = merge(views, config(test={"tta_merge": "mmdet3", "nms_min_score": 1e-6}).test)
    # Each overlap lowers by exp(-2): 0.8 in its view and by 0.9 again, then by what was 0.5.
    assert found.scores.tolist() == pytest.approx(
        [0.9, 0.7, 0.5 * math.exp(-2), 0.8 * math.exp(-6)], rel=1e-5
    )


def test_a_single_view_is_suppressed_once_whatever_the_setting() -> None:
    box = [0.0, 0, 10, 10]
    views = [view_of([box, box], [0.9, 0.8])]
    for setting in ("joint", "mmdet3"):
        found = merge(views, config(test={"tta_merge": setting}).test)
        assert found.scores.tolist() == pytest.approx([0.9, 0.8 * math.exp(-2)])


# For each setting of the section test: values that must give other detections than the defaults
# here. Batches of pictures must not: see test_pictures_run_together_as_they_do_alone.
SETTINGS: dict[str, dict] = {
    "topk": {"topk": 7},
    "peak_kernel": {"peak_kernel": 7},
    "distance_threshold": {"distance_threshold": 0.0},
    "pair_score": {"pair_score": "geometric"},
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
    assert set(SETTINGS) == {item.name for item in fields(Settings)} - {"batch_size"}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_acts(name: str) -> None:
    base = {"pad_multiple": 16, "topk": 30, "max_per_image": 50}
    with_it = base | SETTINGS[name]
    without = {key: value for key, value in with_it.items() if key != name} | (
        {name: base[name]} if name in base else {}
    )
    model, image = model_of(config()), picture(60, 80)
    found, other = (detect(model, [image], config(test=test))[0] for test in (with_it, without))
    same = len(found) == len(other) and torch.equal(found.boxes, other.boxes)
    assert len(other) > 4 and not (same and torch.equal(found.scores, other.scores))
