"""Parting images into splits: shares, classes and groups."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pytest

from cornernet.data.partition import joined_groups, partition


def test_items_with_a_key_in_common_are_one_group() -> None:
    keys: list[list[Hashable]] = [["a"], ["b"], ["a", 1], [], [2, 1], ["c"]]
    assert joined_groups(keys) == [[0, 2, 4], [1], [3], [5]]
    assert joined_groups([]) == []


@pytest.mark.parametrize("seed", range(5))
def test_parts_have_their_shares_of_images_and_of_every_class(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # The second class is rare, and some images have no object.
    counts = rng.poisson([2.0, 0.1, 0.5], (500, 3))
    shares = [0.7, 0.2, 0.1]
    parts = np.array(partition(counts, [1] * 500, shares, seed))
    for part, share in enumerate(shares):
        assert (parts == part).sum() == pytest.approx(500 * share, abs=1)
        assert counts[parts == part, 1].sum() == pytest.approx(counts[:, 1].sum() * share, abs=1)
    assert parts.tolist() == partition(counts, [1] * 500, shares, seed)
    assert parts.tolist() != partition(counts, [1] * 500, shares, seed + 1)


def test_a_class_of_three_images_is_in_both_parts() -> None:
    counts = np.array([[3, 0]] * 7 + [[3, 1]] * 3)
    parts = np.array(partition(counts, [1] * 10, [0.8, 0.2], 0))
    assert sorted(parts[7:]) == [0, 0, 1]
    assert (parts == 1).sum() == 2


def test_images_without_objects_are_shared_out() -> None:
    parts = partition(np.zeros((10, 0), int), [1] * 10, [0.7, 0.3], 0)
    assert sorted(parts) == [0] * 7 + [1] * 3


def test_every_part_has_a_group() -> None:
    parts = partition(np.ones((3, 1), int), [50, 50, 1], [0.98, 0.01, 0.01], 0)
    assert sorted(parts) == [0, 1, 2]
    assert partition(np.ones((2, 1), int), [9, 1], [0.99, 0.01], 3) == [0, 1]
