"""Where the image of a `file_name` is: tools write it in several ways, on several systems."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

# What an absolute name starts with: a slash, a Windows drive, or the scheme of a URL. What follows
# "?d=" is the path of a local file in Label Studio.
_ROOT = re.compile(r"[/\\]|[A-Za-z]:[/\\]|[A-Za-z][\w+.-]*://")
_SEPARATOR = re.compile(r"[/\\]+|\?d=")


class ImageFinder:
    """Finds image files by the names that annotations give them.

    A name may start from any of the base directories, use backslashes, be percent-encoded, have a
    suffix in the other case or another Unicode form of its letters. A name that leads out of the
    data directory and of the base directories is never opened.

    Args:
        bases: directories that a name may start from, the likeliest first.
        root: the data directory.
    """

    def __init__(self, bases: Sequence[Path], root: Path) -> None:
        self.bases = tuple(bases)
        self._allowed = [os.path.join(os.path.abspath(path), "") for path in (root, *bases)]

    def find(self, file_name: str) -> str | None:
        """The path of the first file that the name fits; None if there is none."""
        for name in _spellings(file_name):
            for base in self.bases:
                path = os.path.join(base, name)
                if self._is_inside(path, name) and os.path.isfile(path):
                    return path
        return None

    def find_last_parts(self, file_name: str) -> str | None:
        """The path of the file that most of the last parts of an absolute name lead to.

        Such a name was written on another computer. None for a name that is not absolute.
        """
        if not _ROOT.match(file_name):
            return None
        parts = [part for part in _SEPARATOR.split(file_name) if part]
        if ".." in parts:
            return None
        tails = ("/".join(parts[first:]) for first in range(len(parts)))
        return next((path for tail in tails if (path := self.find(tail)) is not None), None)

    def leaves(self, file_name: str) -> bool:
        """Whether the name leads out of the data directory from one of the base directories."""
        return any(
            not self._is_inside(os.path.join(base, name), name)
            for name in _spellings(file_name)
            for base in self.bases
        )

    def _is_inside(self, path: str, name: str) -> bool:
        if ".." not in name and not os.path.isabs(name):
            return True
        # Links are followed: they belong to the dataset.
        plain = os.path.abspath(path)
        return any(plain.startswith(directory) for directory in self._allowed)


def _spellings(file_name: str) -> Iterator[str]:
    """The name as it is, then with slashes for backslashes, percent-decoded, and so on."""
    yield file_name
    seen = {file_name}
    names = [file_name, file_name.replace("\\", "/")]
    names += [unquote(name) for name in names]
    # macOS takes letters with accents apart, and archives carry that to other systems.
    names += [unicodedata.normalize(form, name) for form in ("NFC", "NFD") for name in names]
    for name in list(names):
        stem, suffix = os.path.splitext(name)
        names += [stem + suffix.lower(), stem + suffix.upper()]
    for name in names:
        if name not in seen:
            seen.add(name)
            yield name
