"""Soft-NMS against its definition, in plain Python floats."""

from __future__ import annotations

import math

import pytest
import torch

from cornernet.nms import box_iou, soft_nms

METHODS = ["gaussian", "linear", "hard", "none"]


def iou_by_hand(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def soft_nms_by_hand(
    boxes, scores, labels, method, threshold, sigma, minimum
) -> list[tuple[int, float]]:
    left = {index: float(score) for index, score in enumerate(scores) if score >= minimum}
    picked = []
    while left:
        best = max(left, key=lambda index: (left[index], -index))
        score = left.pop(best)
        if score < minimum:
            break
        picked.append((best, score))
        for index in left:
            if labels[index] != labels[best]:
                continue
            overlap = iou_by_hand(boxes[best], boxes[index])
            if method == "gaussian":
                left[index] *= math.exp(-(overlap**2) / sigma)
            elif method == "linear" and overlap >= threshold:
                left[index] *= 1 - overlap
            elif method == "hard" and overlap >= threshold:
                left[index] = -1.0
    return picked


def crowd(count: int = 60, classes: int = 3, seed: int = 0):
    random = torch.Generator().manual_seed(seed)
    corner = 60 * torch.rand(count, 2, generator=random)
    size = 5 + 40 * torch.rand(count, 2, generator=random)
    labels = torch.randint(classes, (count,), generator=random)
    return torch.cat([corner, corner + size], 1), torch.rand(count, generator=random), labels


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("threshold", "sigma", "minimum"), [(0.5, 0.5, 1e-3), (0.2, 0.3, 0.05), (0.3, 1.0, 0.0)]
)
def test_by_definition(method: str, threshold: float, sigma: float, minimum: float) -> None:
    boxes, scores, labels = crowd()
    keep, decayed = soft_nms(boxes, scores, labels, method, threshold, sigma, minimum)
    wanted = soft_nms_by_hand(
        boxes.tolist(), scores.tolist(), labels.tolist(), method, threshold, sigma, minimum
    )
    assert keep.tolist() == [index for index, _ in wanted]
    expected = torch.tensor([score for _, score in wanted])
    torch.testing.assert_close(decayed, expected, rtol=1e-4, atol=1e-6)


def test_overlap_by_hand() -> None:
    boxes, _, _ = crowd(20)
    found = box_iou(boxes[0], boxes)
    wanted = [iou_by_hand(boxes[0].tolist(), box) for box in boxes.tolist()]
    torch.testing.assert_close(found, torch.tensor(wanted), rtol=1e-5, atol=1e-6)


def test_boxes_without_area_do_not_overlap_each_other() -> None:
    point = torch.tensor([3.0, 3.0, 3.0, 3.0])
    assert box_iou(point, torch.stack([point, point])).tolist() == [0.0, 0.0]


TWINS = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 10.0]])


def test_twin_decays_by_the_gaussian_of_full_overlap() -> None:
    _, scores = soft_nms(TWINS, torch.tensor([0.9, 0.8]), torch.zeros(2, dtype=torch.int64))
    assert scores.tolist() == pytest.approx([0.9, 0.8 * math.exp(-2)])


def test_twin_of_another_class_is_left_alone() -> None:
    _, scores = soft_nms(TWINS, torch.tensor([0.9, 0.8]), torch.tensor([0, 1]), "hard")
    assert scores.tolist() == pytest.approx([0.9, 0.8])


def test_decay_can_change_the_order() -> None:
    boxes = torch.cat([TWINS, torch.tensor([[50.0, 50.0, 60.0, 60.0]])])
    keep, _ = soft_nms(boxes, torch.tensor([0.9, 0.8, 0.5]), torch.zeros(3, dtype=torch.int64))
    assert keep.tolist() == [0, 2, 1]


@pytest.mark.parametrize("method", METHODS)
def test_every_box_is_picked_at_most_once(method: str) -> None:
    # Full overlap lets scores fall to zero, which is not below a minimum of zero.
    boxes = TWINS[:1].repeat(80, 1)
    labels = torch.zeros(80, dtype=torch.int64)
    keep, _ = soft_nms(boxes, torch.linspace(0.9, 0.1, 80), labels, method, min_score=0.0)
    assert len(set(keep.tolist())) == len(keep)


def test_nothing_below_the_minimum_survives() -> None:
    boxes, scores, labels = crowd()
    keep, decayed = soft_nms(boxes, scores * 0.1, labels, min_score=0.1)
    assert len(keep) == len(decayed) == 0


def test_score_at_the_minimum_survives() -> None:
    keep, _ = soft_nms(TWINS[:1], torch.tensor([0.25]), torch.tensor([0]), min_score=0.25)
    assert keep.tolist() == [0]


def test_of_equal_scores_the_first_is_picked_first() -> None:
    boxes, _, _ = crowd(10)
    labels = torch.arange(10)
    keep, _ = soft_nms(boxes, torch.full((10,), 0.5), labels)
    assert keep.tolist() == list(range(10))


def test_limit_stops_after_the_best() -> None:
    boxes, scores, labels = crowd()
    every, _ = soft_nms(boxes, scores, labels)
    few, _ = soft_nms(boxes, scores, labels, max_detections=7)
    assert few.tolist() == every[:7].tolist()


def test_no_boxes_give_no_detections() -> None:
    keep, scores = soft_nms(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    assert keep.shape == scores.shape == (0,)
    assert keep.dtype == torch.int64


def test_arguments_are_not_changed() -> None:
    boxes, scores, labels = crowd()
    before = boxes.clone(), scores.clone(), labels.clone()
    soft_nms(boxes, scores, labels, min_score=0.0)
    assert all(torch.equal(a, b) for a, b in zip((boxes, scores, labels), before, strict=True))


def test_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="expected method gaussian, linear, hard or none"):
        soft_nms(*crowd(3), method="greedy")
