"""From what a network finds on canvases to the candidates that go to non-maximum suppression.

The originals mirror the canvas, where ours mirrors the image on it, and they divide by the nominal
scale, where ours divides by the one that the rounded size of the resized image has; `view_of`
and `on_canvas` express their numbers in our terms. Their final lists are not compared: their
suppression leaves copies of moved boxes behind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cornernet.config import ModelConfig, load_recipe, with_overrides
from cornernet.inference.detect import of_images
from cornernet.inference.views import View, geometry_of, place, prepare
from cornernet.model.detector import Detector
from cornernet.parts.centers.decode import verify_views
from cornernet.structures import Candidates, Keypoints, OfView
from tests.golden.cases import Case

MULTIPLE = 128
CPU = torch.device("cpu")


def view_of(case: Case, scale: float, canvas: list[int]) -> View:
    """The view of an image at a scale, with the originals' rounding."""
    height, width = (int(side * scale) for side in case.meta["size"])
    # What their boxes are clipped to, in pixels of the image: not always whole numbers.
    limits: Any = (height / scale, width / scale)
    return View(
        pixels=np.broadcast_to(np.uint8(0), (height, width, 3)),
        size=limits,
        canvas=(canvas[0], canvas[1]),
        scale=(scale, scale),
        origin=(canvas[1] // 2 - width // 2, canvas[0] // 2 - height // 2),
    )


def on_canvas(cells: Tensor, view: View, stride: int, mirrored: bool) -> Tensor:
    """x and y in cells of a golden view, [..., 2], to pixels of our canvas."""
    height, width = view.canvas
    map_size = torch.tensor([(width + 1) // stride, (height + 1) // stride])
    pixels = cells * (torch.tensor([width, height]) / map_size)
    if mirrored:
        # Their mirrored canvas has the image as far from the right border as ours from the left.
        pixels[..., 0] -= width - view.pixels.shape[1] - 2 * view.origin[0]
    return pixels


def found_of(case: Case, number: int, view: View, mirrored: bool) -> tuple[Candidates, Keypoints]:
    """One of the two views of a scale: its boxes and its centres on our canvas."""
    rows = case.tensor(f"dets_s{number}")[1 if mirrored else 0]
    corners = on_canvas(rows[:, :4].view(-1, 2, 2), view, 4, mirrored)
    labels = torch.where(rows[:, 4] > -1, rows[:, 7].long(), -1)
    centers = case.tensor(f"centers_s{number}")[1 if mirrored else 0]
    points = on_canvas(centers[:, :2].contiguous(), view, 4, mirrored)
    return (
        Candidates(corners.flatten(1)[None], rows[None, :, 4], labels[None]),
        Keypoints(points[None], centers[None, :, 3], centers[None, :, 2].long()),
    )


def joined(candidates: list[Candidates]) -> Candidates:
    return Candidates(*(torch.cat(parts, 1) for parts in zip(*candidates, strict=True)))


def assert_same_candidates(case: Case, found: Candidates, label: int) -> None:
    """The same boxes and scores of a class in any order; empty boxes, which ours drops, apart."""
    wanted = case.tensor(f"candidates{label}")[:, :5]
    wanted = wanted[(wanted[:, 2] > wanted[:, 0]) & (wanted[:, 3] > wanted[:, 1])]
    mine = found.labels[0] == label
    rows = torch.cat([found.boxes[0], found.scores[0][:, None]], 1)[mine]
    assert len(rows) == len(wanted)
    if not len(rows):
        return
    tolerance = torch.tensor([1e-3] * 4 + [1e-5])
    near = ((rows[:, None] - wanted[None]).abs() <= tolerance).all(2)
    assert near.any(0).all() and near.any(1).all()


def centernet_candidates(case: Case) -> Candidates:
    config = load_recipe("centernet104", ["--test.scales", str(case.meta["scales"])])
    views, keypoints = [], []
    for number, (scale, size) in enumerate(
        zip(case.meta["scales"], case.meta["inputs"], strict=True)
    ):
        view = view_of(case, scale, size[2:])
        sides = [found_of(case, number, view, mirrored) for mirrored in (True, False)]
        boxes, points = zip(*sides, strict=True)
        both = OfView(
            Candidates(*(torch.cat(parts) for parts in zip(*boxes, strict=True))),
            {"centers": Keypoints(*(torch.cat(parts) for parts in zip(*points, strict=True)))},
        )
        for one in of_images(both, geometry_of([view]), config.test):
            views.append(one.candidates)
            keypoints.append(one.keypoints["centers"])
    return joined(verify_views(views, keypoints, config.test))


@pytest.mark.family_cases("center_post")
def test_centernet_candidates(case: Case) -> None:
    found = centernet_candidates(case)
    classes = len(case.meta["candidates"])
    for label, number in enumerate(case.meta["candidates"]):
        assert int((found.labels == label).sum()) == number
        assert_same_candidates(case, found, label)
    assert int(found.labels.max()) < classes


@pytest.mark.family_cases("squeeze_post")
def test_squeeze_candidates(case: Case) -> None:
    config = load_recipe("cornernet_squeeze")
    view = view_of(case, 1.0, case.meta["input"][2:])
    rows = case.tensor("dets")[0]
    boxes = on_canvas(rows[:, :4].view(-1, 2, 2), view, 8, mirrored=False).flatten(1)
    labels = torch.where(rows[:, 4] > -1, rows[:, 7].long(), -1)
    found = OfView(Candidates(boxes[None], rows[None, :, 4], labels[None]), {})
    (candidates, _), = of_images(found, geometry_of([view]), config.test)  # fmt: skip
    for label in range(len(case.meta["kept"])):
        assert_same_candidates(case, candidates, label)


@pytest.mark.parametrize("recipe", ["centernet52", "cornernet_squeeze"])
def test_network_input(recipe: str, request: pytest.FixtureRequest) -> None:
    """Canvas, colours and normalisation of an image at scale 1."""
    file = "center_post" if recipe == "centernet52" else "squeeze_post"
    golden = request.getfixturevalue("family")(file)
    cases = [Case(golden.arrays, meta, meta["name"] + "_") for meta in golden.meta["cases"]]
    case = next(case for case in cases if "input" in case)
    config = with_overrides(load_recipe(recipe), ["--test.scales", "[1.0]"])
    (view,) = prepare(case.image("image"), config, MULTIPLE).views
    canvas = place([view], config.model.canvas_color, CPU)
    small = ModelConfig(
        stacks=1, stage_channels=[2, 2], stage_blocks=[1, 1],
        feature_channels=2, pool_channels=2, head_channels=2,
        pixel_mean=config.model.pixel_mean, pixel_std=config.model.pixel_std,
    )  # fmt: skip
    found = Detector(small, 1).normalize(canvas)[0].flip(0)  # to BGR
    tolerance = 5e-3 if case.array("input").dtype == np.float16 else 1e-4
    torch.testing.assert_close(found, case.tensor("input").float(), rtol=0, atol=tolerance)
