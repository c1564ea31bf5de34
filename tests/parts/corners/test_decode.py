"""Decoding against a loop over all pairs of corners."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from cornernet.config import TestConfig as Settings
from cornernet.parts.corners.decode import decode
from cornernet.parts.corners.structures import Outputs
from cornernet.parts.corners.targets import build_targets


def peaks_by_loops(heat: Tensor, topk: int, kernel: int) -> list[tuple[float, int, int, int]]:
    """(score, class, y, x) of the best local maxima of [K, h, w]."""
    classes, height, width = heat.shape
    found = []
    for c, y, x in itertools.product(range(classes), range(height), range(width)):
        reach = kernel // 2
        window = heat[c, max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        if float(heat[c, y, x]) == float(window.max()):
            found.append((1 / (1 + math.exp(-float(heat[c, y, x]))), c, y, x))
    return sorted(found, key=lambda peak: -peak[0])[:topk]


def decode_by_loops(maps: Outputs, settings: Settings, size: tuple[int, int]) -> list[list[tuple]]:
    """(score, class, box) of every picture, best first."""
    _, _, height, width = maps.tl_heat.shape
    scale_x, scale_y = size[1] / width, size[0] / height
    pictures = []
    for n in range(len(maps.tl_heat)):
        pairs = []
        first = peaks_by_loops(maps.tl_heat[n], settings.topk, settings.peak_kernel)
        second = peaks_by_loops(maps.br_heat[n], settings.topk, settings.peak_kernel)
        for (s1, c1, y1, x1), (s2, c2, y2, x2) in itertools.product(first, second):
            apart = maps.tl_embedding[n, :, y1, x1] - maps.br_embedding[n, :, y2, x2]
            box = (
                (x1 + float(maps.tl_offset[n, 0, y1, x1])) * scale_x,
                (y1 + float(maps.tl_offset[n, 1, y1, x1])) * scale_y,
                (x2 + float(maps.br_offset[n, 0, y2, x2])) * scale_x,
                (y2 + float(maps.br_offset[n, 1, y2, x2])) * scale_y,
            )
            near = math.hypot(*apart.tolist()) <= settings.distance_threshold
            if c1 == c2 and near and box[2] > box[0] and box[3] > box[1]:
                geometric = settings.pair_score == "geometric"
                pairs.append((math.sqrt(s1 * s2) if geometric else (s1 + s2) / 2, c1, box))
        pictures.append(sorted(pairs, key=lambda pair: -pair[0])[: settings.max_pairs])
    return pictures


def random_maps(seed: int, channels: int = 1) -> Outputs:
    random = torch.Generator().manual_seed(seed)

    def normal(depth: int) -> Tensor:
        return torch.randn(2, depth, 9, 12, generator=random)

    return Outputs(normal(3), normal(3), normal(channels), normal(channels), normal(2), normal(2))


@pytest.mark.parametrize(
    ("channels", "changes"),
    [
        (1, {}),
        (1, {"topk": 16, "max_pairs": 6}),
        (1, {"pair_score": "geometric"}),
        (1, {"pair_score": "geometric", "topk": 16, "max_pairs": 6}),
        (1, {"topk": 50, "peak_kernel": 1, "distance_threshold": 0.1}),
        (1, {"peak_kernel": 5, "distance_threshold": 2.0}),
        (3, {"distance_threshold": 1.0}),
    ],
)
def test_pairs_by_loops(channels: int, changes: dict) -> None:
    settings = Settings(**{"topk": 20, "max_pairs": 60, **changes})
    maps = random_maps(len(changes) + channels, channels)
    boxes, scores, labels = decode(maps, settings, (70, 100))
    for n, wanted in enumerate(decode_by_loops(maps, settings, (70, 100))):
        assert wanted
        count = len(wanted)
        assert labels[n].tolist() == [c for _, c, _ in wanted] + [-1] * (len(labels[n]) - count)
        expected = torch.tensor([score for score, _, _ in wanted])
        torch.testing.assert_close(scores[n, :count], expected, rtol=0, atol=1e-6)
        expected = torch.tensor([box for _, _, box in wanted])
        torch.testing.assert_close(boxes[n, :count], expected, rtol=1e-5, atol=1e-4)


OBJECTS = torch.tensor([[5.0, 9.0, 60.0, 50.0], [20.0, 22.0, 90.0, 70.0], [3.0, 4.0, 30.0, 25.0]])


def perfect(boxes: Tensor, labels: list[int], tags: list[float]) -> Outputs:
    """What a perfect network says of a picture of 96 × 128 pixels: 24 × 32 cells."""
    targets = build_targets([boxes], [torch.tensor(labels)], 3, (96, 128), (24, 32))
    tl_tags, br_tags = torch.full((2, 1, 1, 24, 32), -100.0)
    tl_tags.flatten()[targets.tl_cell] = torch.tensor(tags)
    br_tags.flatten()[targets.br_cell] = torch.tensor(tags)
    return Outputs(
        torch.logit(targets.tl_heat, 1e-4),
        torch.logit(targets.br_heat, 1e-4),
        tl_tags,
        br_tags,
        targets.tl_offset,
        targets.br_offset,
    )


def test_perfect_maps_give_back_their_boxes() -> None:
    maps = perfect(OBJECTS, [0, 1, 1], [0.0, 1.0, 2.0])
    boxes, scores, labels = decode(maps, Settings(), (96, 128))
    found = {
        (label, *(round(value, 3) for value in box))
        for box, score, label in zip(
            boxes[0].tolist(), scores[0].tolist(), labels[0].tolist(), strict=True
        )
        if score > 0.9
    }
    wanted = zip([0, 1, 1], OBJECTS.tolist(), strict=True)
    assert found == {(label, *box) for label, box in wanted}


def sure(maps: Outputs, **settings: Any) -> list[list[float]]:
    boxes, scores, _ = decode(maps, Settings(**settings), (96, 128))
    return sorted(boxes[0][scores[0] > 0.9].round(decimals=3).tolist())


def test_corners_of_different_classes_make_no_box() -> None:
    maps = perfect(OBJECTS[:1], [0], [0.0])
    assert len(sure(maps)) == 1
    assert sure(maps._replace(br_heat=maps.br_heat.roll(1, dims=1))) == []


def test_corners_with_distant_embeddings_make_no_box() -> None:
    maps = perfect(OBJECTS[:1], [0], [0.0])
    assert len(sure(maps._replace(br_embedding=maps.br_embedding + 0.49))) == 1
    assert sure(maps._replace(br_embedding=maps.br_embedding + 0.51)) == []


def test_bottom_right_corner_must_lie_below_and_right() -> None:
    maps = perfect(OBJECTS[:1], [0], [0.0])
    turned = Outputs(
        maps.br_heat,
        maps.tl_heat,
        maps.br_embedding,
        maps.tl_embedding,
        maps.br_offset,
        maps.tl_offset,
    )
    assert sure(turned) == []


def test_objects_of_one_class_with_one_embedding_are_mixed_up() -> None:
    # Both top-left corners lie left of and above both bottom-right corners.
    assert len(sure(perfect(OBJECTS[:2], [1, 1], [0.0, 0.0]))) == 4
    assert len(sure(perfect(OBJECTS[:2], [1, 1], [0.0, 1.0]))) == 2


def test_missing_pairs_are_marked() -> None:
    maps = perfect(OBJECTS[:1], [0], [0.0])
    nothing = torch.full_like(maps.tl_heat, -torch.inf)
    boxes, scores, labels = decode(maps._replace(tl_heat=nothing), Settings(max_pairs=5), (96, 128))
    assert boxes.shape == (1, 5, 4)
    assert scores.tolist() == [[-1.0] * 5]
    assert labels.tolist() == [[-1] * 5]


def test_more_corners_than_cells_may_be_asked_for() -> None:
    maps = random_maps(0)
    boxes, _, labels = decode(maps, Settings(topk=1000, max_pairs=3, peak_kernel=1), (36, 48))
    assert boxes.shape == (2, 3, 4)
    assert (labels >= 0).all()


def test_half_precision_maps_give_float32_boxes() -> None:
    maps = perfect(OBJECTS, [0, 1, 1], [0.0, 1.0, 2.0])
    boxes, scores, _ = decode(Outputs(*(m.bfloat16() for m in maps)), Settings(), (96, 128))
    assert boxes.dtype == scores.dtype == torch.float32
    assert float((boxes[0, :3].sort(0).values - OBJECTS.sort(0).values).abs().max()) < 0.1
