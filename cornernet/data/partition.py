"""Parting the images of a dataset into splits, with the same mix of classes in each.

Groups of images that belong together go to one split. They are taken class by class, the rarest
first, and each goes to the split that lacks most objects of that class and still lacks images, much
as in the iterative stratification of Sechidis, Tsoumakas and Vlahavas (ECML PKDD 2011).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np


def joined_groups(keys: Sequence[Iterable[Hashable]]) -> list[list[int]]:
    """Groups of items that have a key in common, directly or by way of others.

    Args:
        keys: of each item.

    Returns:
        Indices of the items of each group, in ascending order.
    """
    parents = list(range(len(keys)))

    def root(item: int) -> int:
        while parents[item] != item:
            parents[item] = parents[parents[item]]
            item = parents[item]
        return item

    first: dict[Hashable, int] = {}
    for item, own in enumerate(keys):
        for key in own:
            one, other = sorted((root(item), root(first.setdefault(key, item))))
            parents[other] = one
    groups: dict[int, list[int]] = {}
    for item in range(len(keys)):
        groups.setdefault(root(item), []).append(item)
    return list(groups.values())


def partition(
    counts: np.ndarray, sizes: Sequence[int], shares: Sequence[float], seed: int
) -> list[int]:
    """The part of each group, so that parts have their shares of all images and all classes.

    Args:
        counts: `[groups, classes]`, objects.
        sizes: images of each group.
        shares: of each part; their sum is 1.
        seed: of the order in which groups are taken.

    Returns:
        The index of a part for each group; every part has a group if there are enough.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(sizes))
    parts = np.array(shares)[:, None]
    # What each part lacks: objects of each class, and in the last column images.
    wanted = np.column_stack([counts, np.array(sizes)]).astype(np.float64)
    lacking = parts * wanted.sum(axis=0)
    chosen = np.full(len(sizes), -1)

    def place(group: int, column: int) -> None:
        # Of the parts that lack images, the one that lacks most of this, then most images.
        has_room = lacking[:, -1] > 1e-9
        part = int(np.lexsort((lacking[:, -1], lacking[:, column], has_room))[-1])
        chosen[group] = part
        lacking[part] -= wanted[group]

    left = wanted.sum(axis=0)
    left[-1] = np.inf  # images without objects come last
    while (chosen < 0).any():
        rest = np.where(left > 0, left, np.inf)
        column = int(np.argmin(rest[:-1])) if np.isfinite(rest[:-1]).any() else len(left) - 1
        for group in order:
            if chosen[group] < 0 and wanted[group, column] > 0:
                place(group, column)
                left[:-1] -= wanted[group, :-1]
    _fill_empty(chosen, sizes, len(shares))
    found: list[int] = chosen.tolist()
    return found


def _fill_empty(chosen: np.ndarray, sizes: Sequence[int], parts: int) -> None:
    """Give a part without a group the smallest group of the part with most groups."""
    for part in range(parts):
        groups = np.bincount(chosen, minlength=parts)
        if not groups[part] and groups.max() > 1:
            candidates = np.flatnonzero(chosen == groups.argmax())
            chosen[candidates[np.argmin(np.array(sizes)[candidates])]] = part
