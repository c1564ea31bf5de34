"""Text for people, in which names of classes, files and splits may be anybody's.

They are shown as they are: a character that controls the terminal is written as an escape. All
lines that the command line prints pass through here; tables and bars through `terminal`.
"""

from __future__ import annotations

import sys

# Control characters; marks that change the direction of what follows, so that a name could be
# shown as another one; separators of lines.
_CONTROLS = [
    *range(0x20),
    *range(0x7F, 0xA0),
    0x061C,
    *range(0x200E, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
]
_IN_NAMES = {code: ascii(chr(code))[1:-1] for code in _CONTROLS}
_IN_TEXT = {code: escape for code, escape in _IN_NAMES.items() if chr(code) not in "\n\t"}


def shown(name: str) -> str:
    """A name from data, in one line and without any character that controls a terminal."""
    return name.translate(_IN_NAMES)


def printable(text: str) -> str:
    """Text of any number of lines, without any other character that controls a terminal."""
    return text.translate(_IN_TEXT)


def say(text: str = "", *, error: bool = False, end: str = "\n", flush: bool = False) -> None:
    """Print text of one or more lines.

    Args:
        text: control characters in it, other than ends of lines and tabs, are written as escapes.
        error: print to standard error.
        end: printed after the text.
        flush: also send what is waiting in the buffer, for a line that must be seen now.
    """
    file = sys.stderr if error else sys.stdout
    print(printable(text), end=end, file=file, flush=flush)


def shown_metric(value: float) -> str:
    """A rate from 0 to 1, such as AP, with three digits; n/a for -1, where there is none."""
    return "n/a" if value < 0 else f"{value:.3f}"
