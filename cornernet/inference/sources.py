"""The image files that a person names."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from cornernet.data.images import IMAGE_SUFFIXES
from cornernet.errors import UserError


def expand_sources(sources: Sequence[str]) -> Iterator[Path]:
    """Images named by files, directories (not their subdirectories) and glob patterns, in order.

    Raises:
        UserError: a source names nothing, or a directory holds no image.
    """
    for source in sources:
        path = Path(source)
        if path.is_dir():
            # Hidden files are the system's own, such as macOS's `._a.jpg`.
            files = (p for p in path.iterdir() if not p.is_dir() and not p.name.startswith("."))
            found = sorted(p for p in files if p.suffix.lower() in IMAGE_SUFFIXES)
            if not found:
                raise UserError(
                    f"{source}: expected images ({', '.join(sorted(IMAGE_SUFFIXES))}) in this "
                    "directory, found none; name another directory, a file or a pattern"
                )
            yield from found
        elif path.is_file():
            yield path
        else:
            matches = sorted(Path(match) for match in glob.glob(source, recursive=True))
            matches = [match for match in matches if match.is_file()]
            if not matches:
                raise UserError(
                    f"{source}: expected an image, a directory or a pattern, found nothing of that "
                    "name; check the path"
                )
            yield from matches
