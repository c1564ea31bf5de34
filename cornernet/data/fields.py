"""What the values of an annotation file mean, also where a tool wrote them in another type."""

from __future__ import annotations

import math
import re
from typing import Any

Identity = int | str
"""An id as an annotation file gives it: a whole number, or text such as the stem of a file."""

_EXACT = 2**53  # integers below are floats, too
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,99})")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def number(value: Any) -> float | None:
    """A finite number, also when written as text; None for anything else."""
    # Nearly always one of these two, and millions of times in a large dataset.
    if type(value) is float:
        return value if math.isfinite(value) else None
    if type(value) is int and -_EXACT < value < _EXACT:
        return value
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # an integer beyond the range of float
        return None


def whole_number(value: Any) -> int | None:
    """A whole number, also when written as 7.0 or as text; None for anything else."""
    found = number(value)
    return None if found is None or found != int(found) else int(found)


def identity(value: Any) -> Identity | None:
    """An id: a whole number of any size, also when written as 7.0 or as text, or another text.

    Text counts as a number only if it is written as one ("7", not "007"), so that stems of files
    stay different. None for anything else.
    """
    if type(value) is int:
        return value
    if isinstance(value, str):
        text = value.strip()
        return int(text) if _WHOLE.fullmatch(text) else value if text else None
    return whole_number(value)


def flag(value: Any) -> bool:
    """Whether a flag such as `iscrowd` is set: by 1, true or "1", and by nothing else."""
    return value == 1 if isinstance(value, (bool, int, float)) else value == "1"


def segmentation_box(segmentation: Any) -> list[float] | None:
    """The box `x y width height` around polygons or a mask; None if it is something else.

    Args:
        segmentation: polygons, or a mask as run lengths, `{"counts": ..., "size": [h, w]}`.
    """
    return mask_box(segmentation) if isinstance(segmentation, dict) else polygon_box(segmentation)


def polygon_box(polygons: Any) -> list[float] | None:
    """The box `x y width height` around polygons; None if it is something else.

    Args:
        polygons: `x y x y ...` of each, of three points or more; one polygon may stand alone, and
            a point may be a list of its own.
    """
    values = _coordinates(polygons)
    if values is None or len(values) < 6:
        return None
    xs, ys = values[::2], values[1::2]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _coordinates(polygons: Any, depth: int = 3) -> list[float] | None:
    """All coordinates in nested lists; None if a list holds half a point or something else."""
    if not isinstance(polygons, list) or depth == 0:
        return None
    if any(isinstance(item, list) for item in polygons):
        parts = [_coordinates(item, depth - 1) for item in polygons]
        found = [part for part in parts if part is not None]
        return [value for part in found for value in part] if len(found) == len(parts) else None
    values = [value for item in polygons if (value := number(item)) is not None]
    return values if len(values) == len(polygons) and len(values) % 2 == 0 else None


def mask_box(mask: dict[str, Any]) -> list[float] | None:
    """The box `x y width height` around a mask as run lengths; None if it is empty or no mask.

    Args:
        mask: COCO's `counts`, a list or compressed text, of pixels outside and inside in turn, down
            the columns, and `size`, height and width.
    """
    counts, size = mask.get("counts"), mask.get("size")
    runs = _decompressed(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not isinstance(size, list) or len(size) != 2:
        return None
    whole = [value for item in (*runs, *size) if (value := whole_number(item)) is not None]
    if len(whole) != len(runs) + 2 or min(whole) < 0:
        return None
    height, width = whole.pop(-2), whole.pop()
    if sum(whole) != height * width:
        return None
    columns: list[int] = []
    rows: list[int] = []
    start = 0
    for place, length in enumerate(whole):
        if place % 2 and length:
            first, last = divmod(start, height), divmod(start + length - 1, height)
            columns += [first[0], last[0]]
            # A run that goes on in the next column reaches the lower edge and the upper one.
            rows += [first[1], last[1]] if first[0] == last[0] else [0, height - 1]
        start += length
    if not columns:
        return None
    x, y = min(columns), min(rows)
    return [x, y, max(columns) - x + 1, max(rows) - y + 1]


def _decompressed(text: str) -> list[int] | None:
    """Run lengths of COCO's compressed text; None if it is not such text.

    A number is written in digits of 5 bits, the lowest first, as characters from 48 on; bit 5 says
    that another digit follows, and bit 4 of the last is the sign. From the fourth number on, the
    difference to the number two places before is written.
    """
    runs: list[int] = []
    value, shift = 0, 0
    for character in text:
        digit = ord(character) - 48
        if not 0 <= digit < 64 or shift > 60:
            return None
        value |= (digit & 31) << shift
        shift += 5
        if not digit & 32:
            value -= (digit & 16) << (shift - 4)
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value, shift = 0, 0
    return None if shift else runs
