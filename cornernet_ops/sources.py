"""Which C++ sources a build was made of; imports no torch, so that setup.py can read it, too."""

from __future__ import annotations

import hashlib
from pathlib import Path

SOURCES = Path(__file__).parent.parent / "csrc"
"""Where the sources lie beside the package: in its repository, not where it was installed."""


def digest(directory: Path = SOURCES) -> str | None:
    """A digest of the names and contents of a directory's files; None where it is not there."""
    if not directory.is_dir():
        return None
    found = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        found.update(path.relative_to(directory).as_posix().encode() + b"\0")
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()
