"""Centres that verify boxes as in CenterNet."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cornernet.config import TestConfig as Settings
from cornernet.parts.centers.decode import center_points, verify, verify_views
from cornernet.parts.centers.structures import CenterMaps
from cornernet.structures import Candidates, Keypoints


def boxes(*rows: list[float], label: int = 0, score: float = 0.6) -> Candidates:
    number = len(rows)
    return Candidates(
        torch.tensor([rows]), torch.full((1, number), score), torch.full((1, number), label)
    )


def centers(*rows: tuple[float, float, float], label: int = 0) -> Keypoints:
    """From x, y and score of each."""
    values = torch.tensor([rows])
    return Keypoints(values[..., :2], values[..., 2], torch.full(values.shape[:2], label))


@pytest.mark.parametrize(
    ("point", "verified"),
    [
        ((15.0, 15.0), True),
        ((10.1, 19.9), True),
        ((10.0, 15.0), False),  # strictly inside of the middle third
        ((15.0, 20.0), False),
    ],
)
def test_small_box_needs_a_centre_in_its_middle_third(
    point: tuple[float, float], verified: bool
) -> None:
    found = verify(boxes([0.0, 0.0, 30.0, 30.0]), centers((*point, 0.9)), Settings())
    assert found.labels.tolist() == [[0 if verified else -1]]
    assert float(found.scores) == pytest.approx((2 * 0.6 + 0.9) / 3 if verified else -1)


@pytest.mark.parametrize(("side", "verified"), [(150.0, True), (151.0, False)])
def test_large_box_needs_it_in_its_middle_fifth(side: float, verified: bool) -> None:
    # Beyond a fifth around the middle, but within a third.
    point = centers((side * 0.37, side / 2, 0.9))
    found = verify(boxes([0.0, 0.0, side, side]), point, Settings())
    assert (found.labels >= 0).tolist() == [[verified]]


def test_centre_of_another_class_verifies_nothing() -> None:
    found = verify(boxes([0.0, 0.0, 30.0, 30.0]), centers((15, 15, 0.9), label=1), Settings())
    assert found.labels.tolist() == [[-1]]


def test_places_without_box_or_centre_do_not_match() -> None:
    found = verify(
        boxes([0.0, 0.0, 30.0, 30.0], label=-1), centers((15, 15, 0.9), label=-1), Settings()
    )
    assert found.labels.tolist() == [[-1]]


def test_first_centre_counts_and_not_the_best() -> None:
    points = centers((90, 90, 1.0), (14, 15, 0.3), (15, 15, 0.9))
    found = verify(boxes([0.0, 0.0, 30.0, 30.0]), points, Settings())
    assert float(found.scores) == pytest.approx((2 * 0.6 + 0.3) / 3)


def test_score_is_geometric_where_settings_say_so() -> None:
    settings = Settings(pair_score="geometric", center_weight=2.0)
    found = verify(boxes([0.0, 0.0, 30.0, 30.0]), centers((15, 15, 0.9)), settings)
    assert float(found.scores) == pytest.approx((0.6**2 * 0.9**2) ** 0.25)


def views_of(settings: Settings, scores: list[float]) -> list[float]:
    """Scores of one box in each view, whose centres score differently."""
    views = [boxes([0.0, 0.0, 30.0, 30.0]) for _ in scores]
    points = [centers((15, 15, score)) for score in scores]
    return [float(view.scores) for view in verify_views(views, points, settings)]


@pytest.mark.parametrize(
    ("settings", "centre"),
    [
        ({"flip": True}, 0.2),  # mirrored views come first, plain centres count first
        ({"flip": True, "scales": [0.5, 1.0]}, 0.4),
        ({"scales": [0.5, 1.0]}, 0.2),
        ({"flip": True, "scales": [0.6, 2.0]}, 0.2),  # without 1: the nearest
    ],
)
def test_centres_come_from_the_image_as_it_is(settings: dict[str, Any], centre: float) -> None:
    number = (2 if settings.get("flip") else 1) * len(settings.get("scales", [1.0]))
    scores = views_of(Settings(**settings), [0.1, 0.2, 0.3, 0.4][:number])
    assert scores == pytest.approx([(2 * 0.6 + centre) / 3] * number)


def test_centres_lie_in_their_cell_by_their_offset() -> None:
    heat = torch.full((1, 2, 4, 6), -10.0)
    heat[0, 1, 2, 3] = 5.0
    offset = torch.zeros(1, 2, 4, 6)
    offset[0, :, 2, 3] = torch.tensor([0.25, 0.5])
    found = center_points(CenterMaps(heat, offset), Settings(topk=30), (32, 48))
    assert found.points[0, 0].tolist() == [3.25 * 8, 2.5 * 8]
    assert int(found.labels[0, 0]) == 1
    assert float(found.scores[0, 0]) == pytest.approx(1 / (1 + 2.718281828**-5), rel=1e-4)
