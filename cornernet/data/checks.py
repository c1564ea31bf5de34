"""What may be wrong with the entries of an annotation file, and what follows from it.

A reader leaves out what it cannot use and returns one `Issue` for each kind of fault that it met.
A dataset to train on or to evaluate with refuses errors, warns about what was dropped and passes
notes on to the log.
"""

from __future__ import annotations

import os
import reprlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from cornernet.data.fields import Identity, identity, number
from cornernet.errors import UserError

Severity = Literal["error", "dropped", "note"]
"""error: the split cannot be used. dropped: the entry is left out, or is an error if strict.
note: the entry is used, but in another way than it is written."""

_IDS_IN_WARNING = 5


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        name: the fault in a few words.
        severity: what follows from it.
        advice: what to do about it; of a note, what was done.
    """

    name: str
    severity: Severity
    advice: str


NOT_AN_OBJECT = Kind("not an object", "error", "convert the annotations to COCO's format")
MISSING_KEY = Kind("missing key", "error", "complete the entry")
BAD_ID = Kind("id that is neither a whole number nor text", "error", "correct the entry")
REPEATED_ID = Kind("repeated id", "error", "renumber or remove one of them")
NO_CATEGORIES = Kind("no categories", "error", "fill in 'categories'")
REPEATED_NAME = Kind("repeated category name", "note", "they are joined to one class")
UNUSED_CATEGORY = Kind("category without a box", "note", "it is no class of the network")
BAD_NAME = Kind("category name that is not text", "error", "correct the entry")
BAD_SIZE = Kind("image size that is not in whole pixels", "error", "correct the entry")
BAD_FILE_NAME = Kind("file name that is not text", "error", "correct the entry")
MISSING_FILE = Kind(
    "missing image file",
    "error",
    "complete the directory or remove such images from the annotation file",
)
FOREIGN_FILE = Kind(
    "file name that starts from the root of another system",
    "note",
    "the files in the data directory are used that have the same last parts",
)
OUTSIDE_FILE = Kind(
    "file name outside the data directory",
    "error",
    "write it relative to the directory of the images, or set the directory of the images",
)
WRONG_SIZE = Kind("annotated image size that is wrong", "error", "correct the annotations")
UNREADABLE = Kind("unreadable annotation", "error", "correct the file")
UNKNOWN_IMAGE = Kind("unknown image", "error", "remove the annotation or add the image")
UNKNOWN_CATEGORY = Kind("unknown category", "dropped", "correct or remove it")
NOT_A_BOX = Kind("not four finite numbers", "dropped", "correct or remove it")
EMPTY_BOX = Kind("zero or negative width or height", "dropped", "correct or remove it")
IGNORED = Kind("object with ignore = 1", "note", "they are not learnt")
COMPUTED_AREA = Kind("area that is not a size", "note", "they are computed from the boxes")
MISSING_SIZE = Kind("no image size", "note", "the sizes are those of the image files")
SEGMENT_BOX = Kind("no bbox", "note", "the boxes are those of the segmentations")
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
    ids: tuple[Identity, ...]
    text: str

    def __str__(self) -> str:
        count = f" ({self.count} of {self.total} {self.section})" if self.count > 1 else ""
        return f"{self.text}{count}; {self.kind.advice}"


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
        self._ids: dict[Kind, list[Identity | None]] = {}
        self._texts: dict[Kind, str] = {}

    def add(self, kind: Kind, entry_id: Identity | None, text: str) -> None:
        """Note a fault of the entry with this id."""
        self._ids.setdefault(kind, []).append(entry_id)
        self._texts.setdefault(kind, text)

    def issues(self) -> list[Issue]:
        """One issue per kind, in the order in which the kinds were met."""
        return [
            Issue(
                kind,
                self.name,
                len(ids),
                len(self.entries),
                tuple(entry_id for entry_id in ids if entry_id is not None),
                self._texts[kind],
            )
            for kind, ids in self._ids.items()
        ]

    def sound_entries(self) -> Iterator[tuple[Identity, dict[str, Any]]]:
        """Yield id and entry of all that are objects with every key and an id of their own."""
        seen: set[Identity] = set()
        for position, entry in enumerate(self.entries):
            place = f"{self.name}[{position}]"
            if not isinstance(entry, dict):
                found = type(entry).__name__
                self.add(NOT_AN_OBJECT, None, f"expected {place} to be an object, found a {found}")
                continue
            entry_id = identity(entry.get("id"))
            missing = [key for key in self.keys if key not in entry]
            if missing:
                if "id" in entry:
                    place += f" (id {shown(entry['id'])})"
                self.add(
                    MISSING_KEY,
                    entry_id,
                    f"expected {place} to have the keys {quoted(self.keys)}, "
                    f"found no {quoted(missing)}",
                )
            elif entry_id is None:
                self.add(
                    BAD_ID,
                    None,
                    f"expected {place} to have a whole number or text as id, "
                    f"found {shown(entry['id'])}",
                )
            elif entry_id in seen:
                self.add(
                    REPEATED_ID,
                    entry_id,
                    f"expected every entry of '{self.name}' to have its own id, "
                    f"found id {entry_id} twice",
                )
            else:
                seen.add(entry_id)
                yield entry_id, entry


def checked_box(
    given: tuple[float, float, float, float] | None, width: int, height: int
) -> tuple[float, ...] | Kind:
    """COCO's `x y width height` as `x1 y1 x2 y2`, clipped to the image; or what is wrong with it.

    Args:
        given: what `box_numbers` makes of the annotation.
        width, height: of the image, in pixels.
    """
    if given is None:
        return NOT_A_BOX
    x, y, box_width, box_height = given
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


def box_numbers(bbox: Any) -> tuple[float, float, float, float] | None:
    """COCO's `x y width height` as numbers; None if they are not four finite ones."""
    if not isinstance(bbox, list) or len(bbox) != 4:
        return None
    x, y, width, height = number(bbox[0]), number(bbox[1]), number(bbox[2]), number(bbox[3])
    if x is None or y is None or width is None or height is None:
        return None
    return float(x), float(y), float(width), float(height)


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
    dropped = _of_severity(issues, "dropped")
    if dropped and strict:
        raise UserError(
            f"{path}: {dropped[0]}, or set data.strict to false to drop such boxes with a warning"
        )


def warn_dropped(path: str | os.PathLike[str], issues: Sequence[Issue], stacklevel: int) -> None:
    """Give one warning about all boxes that were dropped, if any.

    Args:
        path: the annotation file.
        issues: what its reader found.
        stacklevel: the code that the warning points to: 1 is the caller, 2 is the caller's caller.
    """
    issues = _of_severity(issues, "dropped")
    if not issues:
        return
    ids = [entry_id for issue in issues for entry_id in issue.ids]
    ids.sort(key=lambda entry_id: (isinstance(entry_id, str), entry_id))
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


def notes(path: str | os.PathLike[str], issues: Sequence[Issue]) -> list[str]:
    """One line for each kind of entry that is used in another way than it is written."""
    name = os.path.basename(path)
    return [f"{name}: {issue}" for issue in _of_severity(issues, "note")]


def _of_severity(issues: Sequence[Issue], severity: Severity) -> list[Issue]:
    return [issue for issue in issues if issue.kind.severity == severity]


shown = reprlib.repr
"""A value from a file as Python writes it, shortened where it is long."""


def quoted(words: Iterable[str]) -> str:
    """Words in quotes, as a list within a sentence."""
    return ", ".join(f"'{word}'" for word in words)
