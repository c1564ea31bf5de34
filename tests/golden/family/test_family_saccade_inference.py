"""CornerNet-Saccade's two passes: crops, places to look at, candidates and detections."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cornernet.config import Config, load_recipe, with_overrides
from cornernet.inference import two_pass
from cornernet.inference.crops import Crops, crops_at, cut
from cornernet.inference.detect import detect
from cornernet.inference.places import best_places
from cornernet.inference.views import prepare
from cornernet.model.detector import Detector
from cornernet.model.fuse import FusedDetector
from cornernet.parts.attention.structures import AttentionMaps
from cornernet.structures import Candidates
from tests.golden.cases import Case
from tests.golden.family.recipe import Family

SIDE = 255
CELL = SIDE / 64  # pixels per cell of the finest map


@pytest.fixture(scope="module")
def settings() -> Config:
    small = ["--model.stage_channels", "[2, 2, 2, 2]", "--model.feature_channels", "2",
             "--model.pool_channels", "2", "--model.head_channels", "2", "--model.stacks", "1",
             "--model.padding_color", "[0, 0, 0]"]  # fmt: skip
    return with_overrides(load_recipe("cornernet_saccade"), small)


class Scripted(FusedDetector):
    """Finds in the first pass and in the crops what a golden case says."""

    def __init__(self, config: Config, case: Case) -> None:
        super().__init__(Detector(config.model, 3))
        self.case = case
        self.seen: list[tuple[Tensor, bool]] = []

    def forward(self, images: Tensor, locate: bool = True) -> dict[str, Any]:
        first = sum(len(crops) for crops, located in self.seen if not located)
        self.seen.append((images, locate))
        rows = slice(first, first + len(images))
        maps: dict[str, Any] = {"corners": self.case.tensor(f"dets{0 if locate else 1}")[rows]}
        if locate:
            levels = (self.case.tensor(f"att{level}").logit() for level in range(3))
            maps["attention"] = AttentionMaps(tuple(levels))
        return maps

    def decode(self, maps: Any, config: Any, image_size: tuple[int, int]) -> Candidates:
        dets = maps["corners"]
        scores, labels = dets[..., 4], dets[..., 7].long().where(dets[..., 4] > -1, -1)
        return Candidates(dets[..., :4] * CELL, scores, labels)


def named(case: Any) -> Case:
    """A case of the file whose arrays are called `{name}_...`, but for the crops."""
    if "size" not in case.meta:
        pytest.skip("the case of crops alone")
    return Case(case.arrays, case.meta, case.meta["name"] + "_")


def shown(images: Tensor, step: int) -> Tensor:
    """Every so many pixels, BGR in 0..1."""
    return images.flip(1)[..., ::step, ::step] / 255


def test_crops(family: Family) -> None:
    content = family("saccade_infer")
    meta = next(case for case in content.meta["cases"] if case["name"] == "crop")
    image = content.tensor("crop_image").float()[None]  # any colours are resampled alike
    for index, (center, (height, width)) in enumerate(meta["specs"]):
        assert height == width
        zoom = np.array([SIDE / (height + 0.5)])  # whose side is rounded down to the one wanted
        size = (image.shape[2], image.shape[3])
        crops = crops_at(0, size, np.array([center]), zoom, SIDE)
        out = cut(image, crops, SIDE, (0, 0, 0))[0, :, ::3, ::3]
        torch.testing.assert_close(out, content.tensor(f"crop{index}_out"), rtol=0, atol=1e-5)
        assert crops.origins[0].tolist() == content.array(f"crop{index}_offset")[::-1].tolist()
        assert crops.targets[0, [1, 3, 0, 2]].tolist() == (
            content.array(f"crop{index}_extent").tolist()
        )


def test_suppression_of_places(family: Family, settings: Config) -> None:
    content = family("saccade_infer")
    test = with_overrides(settings, ["--test.max_crops", "1000"]).test
    index = 0
    while f"nms{index}_in" in content:
        found = best_places(content.array(f"nms{index}_in"), test)
        np.testing.assert_array_equal(found, content.array(f"nms{index}_out"))
        index += 1
    assert index


@pytest.mark.family_cases("saccade_infer")
def test_two_passes(case: Case, settings: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    case = named(case)
    model = Scripted(settings, case)
    model.seen.clear()
    image = case.image("image")
    crops: list[Crops] = []
    original = two_pass.cut

    def spy(images: Tensor, some: Crops, *arguments: Any) -> Tensor:
        crops.append(some)
        return original(images, some, *arguments)

    monkeypatch.setattr(two_pass, "cut", spy)
    views = prepare(image, settings, model.size_multiple).views
    found = two_pass.look_twice(model, views, settings)[0].candidates

    assert [located for _, located in model.seen] == [True] + [False] * (len(crops) - 1)
    first, second = crops[0], Crops.joined(crops[1:])
    assert len(second) == case.meta["crops"]
    np.testing.assert_allclose(first.zooms, case.array("locations0")[:, 2], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(first.origins[:, ::-1], case.array("offsets0"))
    np.testing.assert_allclose(second.zooms, case.array("locations1")[:, 2], rtol=0, atol=1e-3)
    np.testing.assert_array_equal(second.origins[:, ::-1], case.array("offsets1"))

    seen = [images for images, _ in model.seen]
    wanted = case.tensor("views").float()
    torch.testing.assert_close(shown(seen[0], 2), wanted, rtol=0, atol=1e-3)
    if len(second):
        wanted = case.tensor("crops").float()
        torch.testing.assert_close(shown(seen[1][: len(wanted)], 3), wanted, rtol=0, atol=1e-3)

    for label in range(len(case.meta["kept"])):
        kept = found.labels[0] == label
        rows = torch.cat([found.boxes[0], found.scores[0][:, None]], 1)[kept]
        wanted = case.tensor(f"candidates{label}")[:, :5]
        torch.testing.assert_close(rows, wanted, rtol=0, atol=1e-3)


@pytest.mark.family_cases("saccade_infer")
def test_detections_of_two_passes(case: Case, settings: Config) -> None:
    """Ours have no extra pixel in the overlap, by which scores differ."""
    case = named(case)
    image = case.image("image")
    (found,) = detect(Scripted(settings, case), [image], settings)
    limits = torch.tensor([image.shape[1], image.shape[0]] * 2)
    for label, number in enumerate(case.meta["kept"]):
        ours = found.select(found.labels == label)
        wanted = case.tensor(f"out{label}")[:number]
        boxes = torch.minimum(wanted[:, :4].clamp_min(0), limits)
        for box, score in zip(boxes, wanted[:, 4], strict=True):
            near = (ours.boxes - box).abs().amax(1) < 1e-3
            near &= (ours.scores - score).abs() < 0.02
            assert near.any(), f"class {label}: {box.tolist()} scoring {float(score)}"
