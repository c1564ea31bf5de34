"""Where the image of a `file_name` is: tools write it in several ways, on several systems."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote


class ImageFinder:
    """Finds image files by the names that annotations give them.

    A name may start from any of the base directories, use backslashes or be percent-encoded. A
    name that leads out of the data directory and of the base directories is never opened.

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


def _spellings(file_name: str) -> list[str]:
    """The name as it is, with slashes for backslashes, and with both percent-decoded."""
    names = [file_name, file_name.replace("\\", "/")]
    return list(dict.fromkeys([*names, *(unquote(name) for name in names)]))
