"""soft_nms: kernel and reference against the definition, in plain Python floats."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import cornernet_ops
from cornernet_ops import reference, testing
from cornernet_ops.formulas import box_iou
from cornernet_ops.soft_nms import METHODS
from tests.suppression import soft_nms as suppress

NAMES = ("indices", "boxes", "scores")


@pytest.fixture(params=["op", "reference"])
def soft_nms(request: pytest.FixtureRequest) -> Callable[..., tuple[Tensor, Tensor]]:
    """Suppression in one picture, by the op and by its reference."""
    op = cornernet_ops.soft_nms if request.param == "op" else reference.soft_nms
    return functools.partial(suppress, op=op)


def iou_by_hand(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def soft_nms_by_hand(
    boxes: list[list[float]],
    scores: list[float],
    labels: list[int],
    method: str,
    threshold: float,
    sigma: float,
    minimum: float,
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


def crowd(count: int = 60, classes: int = 3, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    corner = 60 * torch.rand(count, 2, generator=random)
    size = 5 + 40 * torch.rand(count, 2, generator=random)
    labels = torch.randint(classes, (count,), generator=random)
    return torch.cat([corner, corner + size], 1), torch.rand(count, generator=random), labels


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("threshold", "sigma", "minimum"), [(0.5, 0.5, 1e-3), (0.2, 0.3, 0.05), (0.3, 1.0, 0.0)]
)
def test_by_definition(
    soft_nms: Callable[..., tuple[Tensor, ...]],
    method: str,
    threshold: float,
    sigma: float,
    minimum: float,
) -> None:
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


def test_twin_decays_by_the_gaussian_of_full_overlap(
    soft_nms: Callable[..., tuple[Tensor, ...]],
) -> None:
    _, scores = soft_nms(TWINS, torch.tensor([0.9, 0.8]), torch.zeros(2, dtype=torch.int64))
    assert scores.tolist() == pytest.approx([0.9, 0.8 * math.exp(-2)])


def test_twin_of_another_class_is_left_alone(soft_nms: Callable[..., tuple[Tensor, ...]]) -> None:
    _, scores = soft_nms(TWINS, torch.tensor([0.9, 0.8]), torch.tensor([0, 1]), "hard")
    assert scores.tolist() == pytest.approx([0.9, 0.8])


def test_decay_can_change_the_order(soft_nms: Callable[..., tuple[Tensor, ...]]) -> None:
    boxes = torch.cat([TWINS, torch.tensor([[50.0, 50.0, 60.0, 60.0]])])
    keep, _ = soft_nms(boxes, torch.tensor([0.9, 0.8, 0.5]), torch.zeros(3, dtype=torch.int64))
    assert keep.tolist() == [0, 2, 1]


@pytest.mark.parametrize("method", METHODS)
def test_every_box_is_picked_at_most_once(
    soft_nms: Callable[..., tuple[Tensor, ...]], method: str
) -> None:
    # Full overlap lets scores fall to zero, which is not below a minimum of zero.
    boxes = TWINS[:1].repeat(80, 1)
    labels = torch.zeros(80, dtype=torch.int64)
    keep, _ = soft_nms(boxes, torch.linspace(0.9, 0.1, 80), labels, method, min_score=0.0)
    assert len(set(keep.tolist())) == len(keep)


def test_nothing_below_the_minimum_survives(soft_nms: Callable[..., tuple[Tensor, ...]]) -> None:
    boxes, scores, labels = crowd()
    keep, decayed = soft_nms(boxes, scores * 0.1, labels, min_score=0.1)
    assert len(keep) == len(decayed) == 0


def test_score_at_the_minimum_survives(soft_nms: Callable[..., tuple[Tensor, ...]]) -> None:
    keep, _ = soft_nms(TWINS[:1], torch.tensor([0.25]), torch.tensor([0]), min_score=0.25)
    assert keep.tolist() == [0]


def test_of_equal_scores_the_first_is_picked_first(
    soft_nms: Callable[..., tuple[Tensor, ...]],
) -> None:
    boxes, _, _ = crowd(10)
    labels = torch.arange(10)
    keep, _ = soft_nms(boxes, torch.full((10,), 0.5), labels)
    assert keep.tolist() == list(range(10))


def test_limit_stops_after_the_best(soft_nms: Callable[..., tuple[Tensor, ...]]) -> None:
    boxes, scores, labels = crowd()
    every, _ = soft_nms(boxes, scores, labels)
    few, _ = soft_nms(boxes, scores, labels, max_detections=7)
    assert few.tolist() == every[:7].tolist()


def test_no_boxes_give_no_detections(soft_nms: Callable[..., tuple[Tensor, ...]]) -> None:
    keep, scores = soft_nms(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    assert keep.shape == scores.shape == (0,)
    assert keep.dtype == torch.int64


def test_arguments_are_not_changed(soft_nms: Callable[..., tuple[Tensor, ...]]) -> None:
    boxes, scores, labels = crowd()
    before = boxes.clone(), scores.clone(), labels.clone()
    soft_nms(boxes, scores, labels, min_score=0.0)
    assert all(torch.equal(a, b) for a, b in zip((boxes, scores, labels), before, strict=True))


def batch_of(
    count: int, pictures: int = 3, classes: int = 3, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Candidates of some pictures; the last ones of each stand for none, as decoding leaves it."""
    parts = [crowd(count, classes, seed + number) for number in range(pictures)]
    boxes, scores, labels = (torch.stack(kind) for kind in zip(*parts, strict=True))
    for number in range(pictures):
        labels[number, count - number :] = -1
    return boxes, scores, labels


SETTINGS: dict[str, Any] = {
    "method": "gaussian", "iou_threshold": 0.5, "sigma": 0.5, "min_score": 1e-3,
    "max_detections": 20, "merge_exponent": 0.0,
}  # fmt: skip


def assert_same(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> None:
    for name, one, other in zip(NAMES, found, wanted, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape, name
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5, msg=name)


def test_native_matches_reference() -> None:
    testing.assert_matches_reference("soft_nms")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("exponent", [0.0, 2.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_kernel_is_the_reference(method: str, exponent: float, dtype: torch.dtype) -> None:
    boxes, scores, labels = batch_of(40)
    given = (boxes.to(dtype), scores.to(dtype), labels)
    changed = SETTINGS | {"method": method, "merge_exponent": exponent}
    found = cornernet_ops.soft_nms(*given, **changed)
    assert_same(found, reference.soft_nms(*given, **changed))
    assert found[2].dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    st.integers(0, 30), st.integers(0, 3), st.integers(1, 4), st.sampled_from(METHODS),
    st.sampled_from([-0.5, 0.0, 0.3, 1.0]), st.sampled_from([0.0, 0.01, 0.4]),
    st.sampled_from([0.0, 1.0, 10.0]), st.integers(1, 40), st.integers(0, 1000),
)  # fmt: skip
def test_kernel_is_the_reference_for_any_settings(
    count: int, pictures: int, classes: int, method: str, threshold: float, minimum: float,
    exponent: float, limit: int, seed: int,
) -> None:  # fmt: skip
    if pictures:
        boxes, scores, labels = batch_of(count, pictures, classes, seed)
    else:
        boxes, scores = torch.zeros(0, count, 4), torch.zeros(0, count)
        labels = torch.zeros(0, count, dtype=torch.int64)
    scores = (scores * 8).round() / 8  # ties
    changed: dict[str, Any] = {
        "method": method, "iou_threshold": threshold, "sigma": 0.5, "min_score": minimum,
        "max_detections": limit, "merge_exponent": exponent,
    }  # fmt: skip
    found = cornernet_ops.soft_nms(boxes, scores, labels, **changed)
    assert_same(found, reference.soft_nms(boxes, scores, labels, **changed))


@pytest.mark.parametrize("op", [cornernet_ops.soft_nms, reference.soft_nms])
def test_numbers_that_are_none_harm_nobody(op: Any) -> None:
    boxes, scores, labels = batch_of(12, 1)
    scores[0, 3] = torch.nan
    boxes[0, 5, 2] = torch.nan
    boxes[0, 6, 0] = torch.inf
    index, _, found = op(boxes, scores, labels, **SETTINGS)
    kept = index[0][index[0] >= 0].tolist()
    assert 3 not in kept and 5 in kept
    alone = torch.tensor([5, 6, 3])
    rest = torch.ones(12, dtype=torch.bool)
    rest[alone] = False
    clean, _, wanted = op(boxes[:, rest], scores[:, rest], labels[:, rest], **SETTINGS)
    others = found[0][[i for i, k in enumerate(index[0].tolist()) if k >= 0 and k not in alone]]
    torch.testing.assert_close(others, wanted[0][clean[0] >= 0])


@pytest.mark.parametrize("op", [cornernet_ops.soft_nms, reference.soft_nms])
def test_merged_box_is_the_mean_weighed_by_score_and_overlap(op: Any) -> None:
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 10], [40, 40, 50, 50]]])
    scores, labels = torch.tensor([[0.9, 0.6, 0.5, 0.4]]), torch.tensor([[0, 0, 1, 0]])
    settings = SETTINGS | {"method": "linear", "merge_exponent": 2.0}
    _, merged, _ = op(boxes, scores, labels, **settings)
    weight = 0.6 * 0.5**2  # of the second box, which covers half of the first
    wanted = (0.9 * 10 + weight * 5) / (0.9 + weight)
    torch.testing.assert_close(merged[0, 0], torch.tensor([0, 0, 10, wanted]))
    assert merged[0, 1].tolist() == [0, 0, 10, 10]  # the other class, next by score


def test_result_is_the_same_for_any_number_of_threads() -> None:
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(cornernet_ops.soft_nms(*batch_of(50, 5), **SETTINGS))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        testing.assert_identical(other, results[0])


def test_opcheck() -> None:
    torch.library.opcheck(torch.ops.cornernet.soft_nms.default, batch_of(9), SETTINGS)


def test_autocast_computes_in_float32() -> None:
    boxes, scores, labels = batch_of(9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = cornernet_ops.soft_nms(boxes.bfloat16(), scores.bfloat16(), labels, **SETTINGS)
    wanted = cornernet_ops.soft_nms(
        boxes.bfloat16().float(), scores.bfloat16().float(), labels, **SETTINGS
    )
    testing.assert_identical(found, wanted)
