"""Detection in two passes: views of the whole image, then crops of places that were seen there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import cornernet.inference.memory as memory
from cornernet.config import Config, config_from_dict
from cornernet.errors import OutOfMemory
from cornernet.inference import two_pass
from cornernet.inference.crops import Crops, crops_at, cut
from cornernet.inference.detect import detect
from cornernet.inference.places import best_places, places_from_boxes, places_from_views
from cornernet.model.detector import Detector
from cornernet.model.fuse import FusedDetector
from cornernet.structures import Detections
from tests.errors import raises
from tests.small import SMALL_MODEL

MODEL = SMALL_MODEL | {
    "parts": ["corners", "attention"],
    "stage_channels": [8, 8, 8],
    "stage_blocks": [1, 1, 1],
    "object_sizes": [12, 40],
}
# Low scores, since the weights are random.
TEST = {
    "topk": 100,
    "distance_threshold": 1.0,
    "max_pairs": 6,
    "view_sizes": [40, 63],
    "zoom_sizes": [12, 30],
    "first_score": 0.05,
    "location_score": 0.103,
    "box_location_score": 0.111,
    "max_crops": 6,
    "max_per_image": 40,
}


def config(**sections: dict) -> Config:
    test = TEST | sections.pop("test", {})
    values = {"model": MODEL, "augment": {"crop_size": 63}, "test": test}
    return config_from_dict(values | sections)


@pytest.fixture(scope="module")
def model() -> FusedDetector:
    torch.manual_seed(1)
    return FusedDetector(Detector(config().model, 3).eval())


def picture(height: int = 90, width: int = 120, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def same(found: Detections, wanted: Detections, tolerance: float = 1e-3) -> bool:
    return len(found) == len(wanted) and all(
        torch.allclose(a.double(), b.double(), rtol=0, atol=tolerance)
        for a, b in zip(vars(found).values(), vars(wanted).values(), strict=True)
    )


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[Crops]:
    """What was cut out of the images, batch after batch."""
    seen: list[Crops] = []
    original = two_pass.cut

    def spy(images: torch.Tensor, crops: Crops, *arguments: Any) -> torch.Tensor:
        seen.append(crops)
        return original(images, crops, *arguments)

    monkeypatch.setattr(two_pass, "cut", spy)
    return seen


# For each setting of two passes: a value that must give other detections here.
SETTINGS: dict[str, dict] = {
    "view_sizes": {"view_sizes": [50]},
    "first_score": {"first_score": 0.1115},
    "location_score": {"location_score": 0.9},
    "box_location_score": {"location_score": 0.9, "box_location_score": 0.9},
    "zoom_sizes": {"location_score": 0.9, "zoom_sizes": [20, 60]},
    "location_distance": {"location_distance": 1.0, "max_crops": 60},
    "max_crops": {"max_crops": 2},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_acts(model: FusedDetector, name: str) -> None:
    without = {key: value for key, value in SETTINGS[name].items() if key != name}
    (before,) = detect(model, [picture()], config(test=without))
    (after,) = detect(model, [picture()], config(test=SETTINGS[name]))
    assert len(before) and not same(before, after)


@pytest.mark.parametrize("changes", [{"crop_batch": 1}, {"crop_batch": 4}])
def test_how_many_crops_run_together_changes_nothing(model: FusedDetector, changes: dict) -> None:
    (wanted,) = detect(model, [picture()], config())
    (found,) = detect(model, [picture()], config(test=changes))
    assert same(found, wanted)


@pytest.mark.parametrize("flip", [False, True])
def test_images_of_different_sizes_run_together_as_they_do_alone(
    model: FusedDetector, flip: bool
) -> None:
    settings = config(test={"flip": flip})
    images = [picture(90, 120, 1), picture(70, 127, 2), picture(127, 65, 3)]
    together = detect(model, images, settings)
    for image, found in zip(images, together, strict=True):
        assert same(found, detect(model, [image], settings)[0])


def test_a_mirrored_image_gives_mirrored_boxes_with_flip(model: FusedDetector) -> None:
    settings = config(test={"flip": True, "nms": "none"})
    image = picture(90, 121)
    (plain,) = detect(model, [image], settings)
    (mirrored,) = detect(model, [np.ascontiguousarray(image[:, ::-1])], settings)
    x1, y1, x2, y2 = mirrored.boxes.unbind(1)
    mirrored.boxes = torch.stack([121 - x2, y1, 121 - x1, y2], 1)
    assert len(plain) > 10

    def rows(found: Detections) -> torch.Tensor:
        table = torch.cat([found.scores[:, None], found.boxes], 1).double()
        return table[np.lexsort(table.mul(100).round().T.numpy()[::-1])]

    torch.testing.assert_close(rows(mirrored), rows(plain), rtol=0, atol=1e-2)


def test_boxes_are_verified_by_the_centres_of_both_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a rule that asks all views at once, as that of CenterNet."""
    settings = config(
        model=MODEL | {"parts": ["corners", "centers", "attention"]},
        test={"center_rule": "verify", "flip": True, "topk": 400},
    )
    torch.manual_seed(1)
    model = FusedDetector(Detector(settings.model, 3).eval())
    seen: list[Any] = []
    original = FusedDetector.confirm

    def spy(self: FusedDetector, views: Any, test: Any) -> Any:
        seen.extend(views)
        return original(self, views, test)

    monkeypatch.setattr(FusedDetector, "confirm", spy)
    images = [picture(), picture(70, 127, 1)]
    found = detect(model, images, settings)
    crops = 2 + 6  # views and crops of each image
    assert [len(view.keypoints) for view in seen] == [1, 1]  # the mirror images and the images
    assert {view.keypoints["centers"].points.shape for view in seen} == {(2, crops * 400, 2)}
    assert all(len(one) for one in found)
    for image, one in zip(images, found, strict=True):
        assert same(one, detect(model, [image], settings)[0])


def test_attention_is_computed_in_the_first_pass_alone(
    model: FusedDetector, passes: list[Crops], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, bool]] = []
    original = FusedDetector.forward

    def spy(self: FusedDetector, images: torch.Tensor, locate: bool = True) -> Any:
        maps = original(self, images, locate)
        calls.append((len(images), "attention" in maps))
        return maps

    monkeypatch.setattr(FusedDetector, "forward", spy)
    detect(model, [picture(), picture(seed=1)], config(test={"crop_batch": 5}))
    assert calls[0] == (4, True) and not any(located for _, located in calls[1:])
    assert [len(crops) for crops in passes] == [number for number, _ in calls]
    assert len(Crops.joined(passes[1:])) == 12


def test_nothing_to_look_at_needs_no_second_pass(model: FusedDetector, passes: list[Crops]) -> None:
    settings = config(test={"location_score": 1.0, "box_location_score": 1.0})
    (found,) = detect(model, [picture()], settings)
    assert len(passes) == 1 and len(found)


def test_boxes_are_in_pixels_of_the_original_image(model: FusedDetector) -> None:
    image = picture()
    large = image.repeat(2, axis=0).repeat(2, axis=1)
    settings = config(data={"long_side": 120})
    (small,) = detect(model, [image], settings)
    (found,) = detect(model, [large], settings)
    found.boxes /= 2
    assert same(found, small)


def test_boxes_are_clipped_to_the_image_in_the_end(model: FusedDetector) -> None:
    (found,) = detect(model, [picture(30, 127)], config(test={"max_per_image": 1000}))
    limits = torch.tensor([127.0, 30.0, 127.0, 30.0])
    assert len(found) and (found.boxes >= 0).all() and (found.boxes <= limits).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (300, 2)])
def test_images_of_any_size_are_looked_at(model: FusedDetector, size: tuple[int, int]) -> None:
    detect(model, [picture(*size)], config())


def test_factors_for_images_are_refused() -> None:
    with raises("must be [1.0]", "test.view_sizes", field="test.scales"):
        config(test={"scales": [0.5, 1.0]})


def test_a_size_for_every_class_of_sizes_is_asked_for() -> None:
    with raises("as many entries as model.object_sizes", field="test.zoom_sizes"):
        config(test={"zoom_sizes": [12]})


@pytest.mark.parametrize(
    ("pixels", "setting"), [(2 * 16 * 16, "test.batch_size"), (6 * 16 * 16, "test.crop_batch")]
)
def test_want_of_memory_names_what_helps(
    model: FusedDetector, monkeypatch: pytest.MonkeyPatch, pixels: int, setting: str
) -> None:
    monkeypatch.setattr(model, "least_memory", lambda images, size: images * 16 * 16)
    monkeypatch.setattr(memory, "free_memory", lambda device: pixels - 1)
    with pytest.raises(OutOfMemory, match=setting):
        detect(model, [picture()], config())


def test_images_too_large_for_the_device_are_told(
    model: FusedDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def starve(*_: object) -> None:
        raise MemoryError("none left")

    monkeypatch.setattr(two_pass, "_on_device", starve)
    with pytest.raises(OutOfMemory, match="data.long_side"):
        detect(model, [picture()], config())


def test_a_crop_keeps_the_colour_around_the_image() -> None:
    crops = crops_at(0, (10, 10), np.array([[0, 9], [5, 5]]), np.array([3.0, 3.0]), 63)
    images = torch.full((1, 3, 12, 12), 200, dtype=torch.uint8)
    canvases = cut(images, crops, 63, (9, 0, 7))
    left, top, right, bottom = crops.targets[0]
    inside = torch.zeros(63, 63, dtype=torch.bool)
    inside[top:bottom, left:right] = True
    assert (canvases[0][:, inside] == 200).all() and 0 < inside.sum() < 63 * 63
    assert canvases[0][:, ~inside].unique(dim=1).tolist() == [[9], [0], [7]]


def test_a_crop_beside_the_image_shows_nothing() -> None:
    points = np.array([[500, 5], [5, -40], [5, 5], [12, 5]])
    crops = crops_at(3, (10, 10), points, np.full(4, 4.0), 63)
    assert crops.visible.tolist() == [False, False, True, True]
    assert crops[crops.visible].image.tolist() == [3, 3]


def test_places_in_an_enlarged_view_are_left_out() -> None:
    scores = np.array([[0.5, 0.6, 0.0], [0.7, 0.0, 0.8]], np.float32)
    points = np.array([[0.0, 0.0], [8.0, 4.0], [4.0, 4.0]])
    zooms, views = np.array([1.0, 2.0, 4.0]), np.array([1.5, 0.75], np.float32)
    found = places_from_views(scores, points, zooms, views, np.array([[0, 0], [2, 1]]), (20, 20))
    wanted = [[0, 0, 1.5, 0.5], [8 / 1.5, 4 / 1.5, 3, 0.6], [1, 2, 0.75, 0.7],
              [4 / 0.75 + 1, 4 / 0.75 + 2, 3, 0.8]]  # fmt: skip
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    views = np.array([2.5, 1.5], np.float32)  # nothing of the first; a zoom of 6 in the second
    found = places_from_views(scores, points, zooms, views, np.zeros((2, 2)), (20, 20))
    np.testing.assert_allclose(found, [[0, 0, 1.5, 0.7]], atol=1e-6)
    outside = places_from_views(scores, points, zooms, views, np.full((2, 2), 30), (20, 20))
    assert outside.shape == (0, 4)


def test_boxes_are_enlarged_by_their_class_of_sizes() -> None:
    boxes = np.array([[0, 0, 12, 4], [0, 0, 5, 12.5], [10, 20, 110, 30]], np.float32)
    found = places_from_boxes(boxes, [12, 40], [6, 30])
    wanted = [[2, 6, 0.5, 1], [6.25, 2.5, 2.4, 1], [25, 60, 0.3, 1]]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert places_from_boxes(boxes[:0], [12, 40], [6, 30]).shape == (0, 4)


def test_the_best_place_leaves_out_those_in_its_row_and_column() -> None:
    places = np.array(
        [
            [50, 50, 1, 0.9],
            [500, 60, 1.1, 0.5],  # in its column
            [60, 500, 1.9, 0.6],  # in its row, but another zoom
            [500, 500, 1, 0.4],
            [900, 900, 1, 0.9],  # of equal scores the later one is first
        ],
        float,
    )
    found = best_places(places, config().test)
    assert found[:, 3].tolist() == [0.9, 0.9, 0.6, 0.4] and found[0, 0] == 900
    assert len(best_places(places, config(test={"max_crops": 2}).test)) == 2
    assert best_places(places[:0], config().test).shape == (0, 4)
