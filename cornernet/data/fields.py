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


def polygon_box(segmentation: Any) -> list[float] | None:
    """The box `x y width height` around a list of polygons; None if it is something else."""
    if not isinstance(segmentation, list) or not segmentation:
        return None
    xs: list[float] = []
    ys: list[float] = []
    for polygon in segmentation:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            return None
        values = [found for item in polygon if (found := number(item)) is not None]
        if len(values) != len(polygon):
            return None
        xs += values[::2]
        ys += values[1::2]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
