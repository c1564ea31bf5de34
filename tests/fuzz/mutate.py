"""Breaking bytes and plain data at random."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

_ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 2**31, 2**63, -(2**63), 10**30, 0.5, -0.0, 1e308,
    math.inf, -math.inf, math.nan, "", "0", "1", "a", "../../etc/passwd", "/etc/passwd", "\0",
    "\ud800", "nan", "9" * 400, "é" * 50, [], {}, [[]], [None], {"a": {}}, [0, 0, 0, 0],
    [1, 2], [math.nan] * 4, [1e300] * 4, ["1", "2", "3", "4"], [-5, -5, 3, 3], "[/red]", "*",
)  # fmt: skip
_ODD_BYTES = (b"\0", b"\xff", b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"(", b"t", b"[", b"{")


def broken_bytes(data: bytes, random: np.random.Generator) -> bytes:
    """The bytes with some changed, left out, repeated or added."""
    changed = bytearray(data)
    for _ in range(int(random.integers(1, 9))):
        place = int(random.integers(0, len(changed) + 1))
        length = int(random.integers(1, 1 + min(64, 1 + len(changed) // 4)))
        match int(random.integers(0, 7)):
            case 0:
                changed[place : place + 1] = bytes([int(random.integers(0, 256))])
            case 1:
                del changed[place : place + length]
            case 2:
                changed[place:place] = changed[place : place + length]
            case 3:
                changed[place:place] = random.bytes(length)
            case 4:
                odd = _ODD_BYTES[int(random.integers(0, len(_ODD_BYTES)))]
                changed[place : place + len(odd)] = odd
            case 5:
                other = int(random.integers(0, len(changed) + 1))
                changed[place : place + length] = changed[other : other + length]
            case _:
                if place < len(changed):
                    changed[place] ^= 1 << int(random.integers(0, 8))
    if random.random() < 0.1:
        del changed[int(random.integers(0, len(changed) + 1)) :]
    return bytes(changed)


def odd_value(random: np.random.Generator) -> Any:
    """A value that nobody expects."""
    return copy.deepcopy(_ODD_VALUES[int(random.integers(0, len(_ODD_VALUES)))])


def broken_data(content: Any, random: np.random.Generator) -> Any:
    """Plain data with some values or keys changed, left out or repeated."""
    content = copy.deepcopy(content)
    for _ in range(int(random.integers(1, 5))):
        place = content
        parent: Any = None
        name: Any = None
        while isinstance(place, (dict, list)) and place and random.random() < 0.85:
            names = list(place) if isinstance(place, dict) else range(len(place))
            parent, name = place, names[int(random.integers(0, len(names)))]
            place = place[name]
        if parent is None:
            continue
        match int(random.integers(0, 6)):
            case 0:
                del parent[name]
            case 1 if isinstance(parent, list):
                parent.append(copy.deepcopy(place))
            case 1 | 2 if isinstance(parent, dict):
                parent[str(odd_value(random))[:50]] = parent.pop(name)
            case 3:
                parent[name] = [place]
            case 4 if isinstance(place, (int, float)) and not isinstance(place, bool):
                parent[name] = place * float(random.choice([-1, 0, 0.5, 10, 1e6]))
            case _:
                parent[name] = odd_value(random)
    return content
