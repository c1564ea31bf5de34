"""Write a dataset with other splits: shares of its images, with the same mix of classes in each."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace

import numpy as np

from cornernet.data.export import usable_splits, write_dataset
from cornernet.data.inspection import inspect_images
from cornernet.data.parse import ParsedSplit, Record
from cornernet.data.partition import joined_groups, partition
from cornernet.data.reader import Split, with_images
from cornernet.errors import UserError


def split_dataset(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    shares: Mapping[str, float],
    *,
    to: str,
    seed: int = 0,
    group: str = "",
    threads: int = 1,
    progress: Callable[[], None] = lambda: None,
) -> list[str]:
    """Copy a dataset to a new directory with its images shared out again among splits.

    The splits that it has are joined first. Images of the same content stay in one split.

    Args:
        source: the data directory, in any known layout.
        target: the new directory.
        shares: of the images, by the split's name; "train" gets what is left.
        to: one of `export.FORMATS`.
        seed: at least 0.
        group: a regular expression; images in whose file names it matches the same text (or the
            same first group, if it has one) stay in one split, too.
        threads: images to read at a time.
        progress: called after each image.

    Returns:
        A line for each split, and for what is worth knowing.

    Raises:
        UserError: the data cannot be used, there are too few images, an argument is out of range,
            or the directory is there already.
    """
    pattern = _checked(shares, seed, group)
    splits, lines = usable_splits(source, target)
    whole = _joined(splits)
    records = whole.parsed.records
    keys = _keys(splits, records, pattern, threads, progress)
    groups = joined_groups(keys)
    names = ["train", *(name for name, share in shares.items() if share)]
    if len(groups) < len(names):
        raise UserError(
            f"{source}: expected at least {len(names)} different images or groups of them, for "
            f"{', '.join(names)}, found {len(groups)}"
        )
    parts = partition(
        np.array([_counts(records, group, len(whole.parsed.classes)) for group in groups]),
        [len(group) for group in groups],
        [1 - sum(shares.values()), *(share for share in shares.values() if share)],
        seed,
    )
    chosen: dict[str, list[int]] = {name: [] for name in names}
    for part, members in zip(parts, groups, strict=True):
        chosen[names[part]] += members
    result = {name: with_images(whole, sorted(items)) for name, items in chosen.items()}
    together = sum(len(group) for group in groups if len(group) > 1)
    if together:
        what = "have the content or the group" if group else "have the content"
        lines.append(f"{together} images {what} of another one and stay in its split")
    return lines + write_dataset(target, result, to)


def _checked(shares: Mapping[str, float], seed: int, group: str) -> re.Pattern[str] | None:
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise UserError(f"must be from 0 to below 1, got {share}", field=name)
    if not 0 < sum(shares.values()) < 1:
        raise UserError(
            f"must leave something to each split, got shares of {dict(shares)}",
            field=next(iter(shares)),
        )
    if seed < 0:
        raise UserError(f"must be at least 0, got {seed}", field="seed")
    try:
        return re.compile(group) if group else None
    except re.error as error:
        raise UserError(
            f"must be a regular expression, got {group!r}: {error}", field="group"
        ) from None


def _joined(splits: Mapping[str, Split]) -> Split:
    """All splits as one, with one list of classes and an id of its own for each image."""
    classes = list(dict.fromkeys(name for s in splits.values() for name in s.parsed.classes))
    records: list[Record] = []
    for split in splits.values():
        label_of = np.array([classes.index(name) for name in split.parsed.classes], np.int64)
        for record in split.parsed.records:
            truth = replace(record.truth, labels=label_of[record.truth.labels])
            records.append(
                replace(
                    record,
                    info=replace(record.info, id=len(records) + 1),
                    labels=label_of[record.labels],
                    crowd_labels=label_of[record.crowd_labels],
                    truth=truth,
                )
            )
    ids = list(range(1, len(classes) + 1))
    first = next(iter(splits.values()))
    return replace(first, parsed=ParsedSplit(classes, ids, list(ids), records), issues=[])


def _keys(
    splits: Mapping[str, Split],
    records: list[Record],
    pattern: re.Pattern[str] | None,
    threads: int,
    progress: Callable[[], None],
) -> list[list[Hashable]]:
    """What images of one split have in common, for each image."""
    annotations = next(iter(splits.values())).files.annotations
    infos = [record.info for record in records]
    keys: list[list[Hashable]] = []
    for info, image in zip(infos, inspect_images(infos, annotations, threads), strict=True):
        own: list[Hashable] = [image.content or info.path]
        match = None if pattern is None else pattern.search(info.file_name)
        if match is not None:
            own.append(match[1] if match.re.groups else match[0])
        keys.append(own)
        progress()
    return keys


def _counts(records: list[Record], group: list[int], classes: int) -> np.ndarray:
    labels = np.concatenate([records[index].truth.labels for index in group])
    return np.bincount(labels, minlength=classes)
