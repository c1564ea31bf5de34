"""What may be wrong with the entries of an annotation file, and what follows from it.

A reader leaves out what it cannot use and returns one `Issue` for each kind of fault that it met.
A dataset to train on or to evaluate with refuses errors and warns about what was dropped.
"""

from __future__ import annotations

import math
import os
import reprlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from cornernet.errors import UserError

Severity = Literal["error", "dropped"]
"""error: the split cannot be used. dropped: the entry is left out, or is an error if strict."""

_IDS_IN_WARNING = 5


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        name: the fault in a few words.
        severity: what follows from it.
        advice: what to do about it.
    """

    name: str
    severity: Severity
    advice: str


NOT_AN_OBJECT = Kind("not an object", "error", "convert the annotations to COCO's format")
MISSING_KEY = Kind("missing key", "error", "complete the entry")
BAD_ID = Kind("id that is not a whole number", "error", "correct the entry")
REPEATED_ID = Kind("repeated id", "error", "renumber or remove one of them")
NO_CATEGORIES = Kind("no categories", "error", "fill in 'categories'")
REPEATED_NAME = Kind("repeated category name", "error", "rename or join them")
BAD_SIZE = Kind("image size that is not in whole pixels", "error", "correct the entry")
BAD_FILE_NAME = Kind("file name that is not text", "error", "correct the entry")
MISSING_FILE = Kind(
    "missing image file",
    "error",
    "complete the directory or remove such images from the annotation file",
)
UNKNOWN_IMAGE = Kind("unknown image", "error", "remove the annotation or add the image")
UNKNOWN_CATEGORY = Kind("unknown category", "dropped", "correct or remove it")
NOT_A_BOX = Kind("not four finite numbers", "dropped", "correct or remove it")
EMPTY_BOX = Kind("zero or negative width or height", "dropped", "correct or remove it")
OUTSIDE = Kind("wholly outside its image", "dropped", "correct or remove it")


@dataclass(frozen=True)
class Issue:
    """All faults of one kind in one section of an annotation file.

    Attributes:
        kind: what is wrong.
        section: "images", "annotations" or "categories".
        count: number of entries with this fault.
        total: number of entries of the section.
        ids: ids of the entries with this fault, as far as they have one.
        text: one line about the first of them, without advice.
    """

    kind: Kind
    section: str
    count: int
    total: int
    ids: tuple[int, ...]
    text: str

    def __str__(self) -> str:
        number = f" ({self.count} of {self.total} {self.section})" if self.count > 1 else ""
        return f"{self.text}{number}; {self.kind.advice}"


class Section:
    """A section of an annotation file, and the faults that are found in it.

    Args:
        name: "images", "annotations" or "categories".
        entries: the content, not checked yet.
        keys: what each entry must have.
    """

    def __init__(self, name: str, entries: list[Any], keys: Sequence[str]) -> None:
        self.name = name
        self.entries = entries
        self.keys = keys
        self._ids: dict[Kind, list[int | None]] = {}
        self._texts: dict[Kind, str] = {}

    def add(self, kind: Kind, identity: int | None, text: str) -> None:
        """Note a fault of the entry with this id."""
        self._ids.setdefault(kind, []).append(identity)
        self._texts.setdefault(kind, text)

    def issues(self) -> list[Issue]:
        """One issue per kind, in the order in which the kinds were met."""
        return [
            Issue(
                kind,
                self.name,
                len(ids),
                len(self.entries),
                tuple(identity for identity in ids if identity is not None),
                self._texts[kind],
            )
            for kind, ids in self._ids.items()
        ]

    def sound_entries(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield id and entry of all that are objects with every key and an id of their own."""
        seen: set[int] = set()
        for position, entry in enumerate(self.entries):
            place = f"{self.name}[{position}]"
            if not isinstance(entry, dict):
                found = type(entry).__name__
                self.add(NOT_AN_OBJECT, None, f"expected {place} to be an object, found a {found}")
                continue
            identity = whole_number(entry.get("id"))
            missing = [key for key in self.keys if key not in entry]
            if missing:
                if "id" in entry:
                    place += f" (id {shown(entry['id'])})"
                self.add(
                    MISSING_KEY,
                    identity,
                    f"expected {place} to have the keys {quoted(self.keys)}, "
                    f"found no {quoted(missing)}",
                )
            elif identity is None:
                self.add(
                    BAD_ID,
                    None,
                    f"expected {place} to have a whole number as id, found {shown(entry['id'])}",
                )
            elif identity in seen:
                self.add(
                    REPEATED_ID,
                    identity,
                    f"expected every entry of '{self.name}' to have its own id, "
                    f"found id {identity} twice",
                )
            else:
                seen.add(identity)
                yield identity, entry


def checked_box(bbox: Any, width: int, height: int) -> tuple[float, ...] | Kind:
    """COCO's `x y width height` as `x1 y1 x2 y2`, clipped to the image; or what is wrong with it.

    Args:
        bbox: as found in the annotation file.
        width, height: of the image, in pixels.
    """
    if not isinstance(bbox, list) or len(bbox) != 4:
        return NOT_A_BOX
    if not all(_is_finite_number(value) for value in bbox):
        return NOT_A_BOX
    x, y, box_width, box_height = map(float, bbox)
    if box_width <= 0 or box_height <= 0:
        return EMPTY_BOX
    x1, x2 = max(x, 0.0), min(x + box_width, float(width))
    y1, y2 = max(y, 0.0), min(y + box_height, float(height))
    if x2 <= x1 or y2 <= y1:
        return OUTSIDE
    # A very thin box may lose its size in float32, in which boxes are kept.
    if np.float32(x2) <= np.float32(x1) or np.float32(y2) <= np.float32(y1):
        return EMPTY_BOX
    return x1, y1, x2, y2


def whole_number(value: Any) -> int | None:
    """A whole number, also when written as 7.0; None for anything else."""
    if not _is_finite_number(value) or value != int(value):
        return None
    return int(value)


def _is_finite_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the range of float
        return False


def refuse_errors(path: str | os.PathLike[str], issues: Sequence[Issue], strict: bool) -> None:
    """Refuse a split that cannot be used.

    Args:
        path: the annotation file.
        issues: what its reader found.
        strict: refuse what would be dropped, too.

    Raises:
        UserError: about the first issue that makes the split unusable.
    """
    for issue in issues:
        if issue.kind.severity == "error":
            raise UserError(f"{path}: {issue}")
    if issues and strict:
        raise UserError(
            f"{path}: {issues[0]}, or set data.strict to false to drop such boxes with a warning"
        )


def warn_dropped(path: str | os.PathLike[str], issues: Sequence[Issue], stacklevel: int) -> None:
    """Give one warning about all boxes that were dropped, if any.

    Args:
        path: the annotation file.
        issues: what its reader found; none is an error.
        stacklevel: the code that the warning points to: 1 is the caller, 2 is the caller's caller.
    """
    if not issues:
        return
    ids = sorted(identity for issue in issues for identity in issue.ids)
    reasons = ", ".join(
        f"{issue.count} {issue.kind.name}"
        for issue in sorted(issues, key=lambda issue: issue.kind.name)
    )
    rest = ", ..." if len(ids) > _IDS_IN_WARNING else ""
    warnings.warn(
        f"{path}: dropped {len(ids)} of {issues[0].total} boxes ({reasons}): annotation ids "
        f"{', '.join(map(str, ids[:_IDS_IN_WARNING]))}{rest}; correct them, or set data.strict to "
        "true to make them an error",
        UserWarning,
        stacklevel=stacklevel + 1,
    )


shown = reprlib.repr
"""A value from a file as Python writes it, shortened where it is long."""


def quoted(words: Iterable[str]) -> str:
    """Words in quotes, as a list within a sentence."""
    return ", ".join(f"'{word}'" for word in words)
