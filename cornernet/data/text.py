"""Text files as annotation tools on several systems write them."""

from __future__ import annotations

import codecs
from pathlib import Path

# The mark of UTF-32 starts with that of UTF-16.
_MARKS = {
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}


def read_text(path: Path, errors: str = "replace") -> str:
    """A text file in UTF-8, or in the encoding that its byte order mark names.

    Windows' editors put a mark in front of UTF-8; its shell writes UTF-16.

    Args:
        path: the file.
        errors: what becomes of bytes that are no text: "replace" or "strict".

    Raises:
        OSError: the file cannot be read.
        UnicodeDecodeError: with "strict", it is no text.
    """
    data = path.read_bytes()
    for encoding, marks in _MARKS.items():
        if data.startswith(marks):
            return data.decode(encoding, errors)
    return data.decode("utf-8-sig", errors)


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without the blanks around them; empty lines stay."""
    return [line.strip() for line in read_text(path).splitlines()]
