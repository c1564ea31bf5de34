"""The images, videos and cameras that a person names."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import unquote, urlsplit

from cornernet.data.download import is_url, public_name
from cornernet.data.images import IMAGE_SUFFIXES
from cornernet.data.video import VIDEO_SUFFIXES, is_live, is_video
from cornernet.errors import UserError

_LONGEST_PLACE = 100  # characters of a URL that become a file's name


@dataclass(frozen=True)
class Source:
    """One image, video or camera.

    Attributes:
        kind: "live" are cameras and streams.
        name: a file's name, a URL, or a camera's number.
        place: where results of it go, relative to a directory for results.
    """

    kind: Literal["image", "video", "live"]
    name: str
    place: Path

    def is_same_file(self, path: Path) -> bool:
        """Whether a file is the source itself."""
        return path.exists() and os.path.exists(self.name) and path.samefile(self.name)


@dataclass
class Sources:
    """What was named.

    Attributes:
        found: each file once, in order.
        notes: a sentence for each directory some of whose files are neither image nor video.
    """

    found: list[Source] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def expand_sources(names: Sequence[str], results: Path | None = None) -> Sources:
    """Images, videos and cameras by their files, directories, glob patterns, URLs and numbers.

    Directories are searched with their subdirectories, whose names the results keep. Hidden files
    are left out, as they are the system's own, such as macOS's `._a.jpg`.

    Args:
        names: as a person types them.
        results: a directory to which results go: what earlier runs have left there is no source.

    Raises:
        UserError: a name is of nothing, or a directory holds neither image nor video.
    """
    sources = Sources()
    seen = set()
    for name in names:
        for source in _expand(name, results, sources.notes):
            key = source.name if source.kind == "live" else os.path.abspath(source.name)
            if key not in seen:
                seen.add(key)
                sources.found.append(source)
    return sources


def _expand(name: str, results: Path | None, notes: list[str]) -> Iterator[Source]:
    if is_live(name) or is_url(name):
        yield _from_url(name)
    elif os.path.isdir(name):
        files = [path for path in _walk(Path(name)) if not _is_result(path, Path(name), results)]
        known = [path for path in files if _is_known(path)]
        if not known:
            raise UserError(
                f"{name}: expected images ({', '.join(IMAGE_SUFFIXES)}) or videos "
                f"({', '.join(VIDEO_SUFFIXES)}) in this directory or below, found none; name "
                "another directory, a file or a pattern"
            )
        if len(known) < len(files):
            notes.append(_passed_over(name, [path for path in files if not _is_known(path)]))
        yield from (_from_file(path, path.relative_to(name)) for path in known)
    elif os.path.isfile(name):
        yield _from_file(Path(name), Path(Path(name).name))
    else:
        base = _fixed_part(name)
        matches = [Path(match) for match in sorted(glob.glob(name, recursive=True))]
        files = [path for path in matches if path.is_file()]
        files = [path for path in files if not _is_result(path, base, results)]
        if not files:
            raise UserError(
                f"{name}: expected an image, a video, a directory or a pattern, found nothing of "
                "that name; check the path"
            )
        yield from (_from_file(path, path.relative_to(base)) for path in files)


def _walk(root: Path) -> list[Path]:
    """All files below a directory, sorted, without hidden ones; links are followed once."""
    files = []
    visited = set()
    for directory, subdirectories, names in os.walk(root, followlinks=True):
        real = os.path.realpath(directory)
        subdirectories[:] = [name for name in subdirectories if not name.startswith(".")]
        if real in visited:
            subdirectories.clear()
            continue
        visited.add(real)
        files += [Path(directory, name) for name in names if not name.startswith(".")]
    return sorted(path for path in files if path.is_file())


def _is_known(path: Path) -> bool:
    return path.suffix.lower() in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)


def _is_result(path: Path, base: Path, results: Path | None) -> bool:
    """Whether a file is below the directory of the results, and that is below `base`."""
    if results is None:
        return False
    directory = results.resolve()
    return base.resolve() in directory.parents and directory in path.resolve().parents


def _passed_over(name: str, files: Sequence[Path]) -> str:
    suffixes = Counter(path.suffix.lower() or "without suffix" for path in files)
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(8))
    return f"{name}: passed over files that are neither images nor videos by their names: {kinds}"


def _fixed_part(pattern: str) -> Path:
    """The directory of a pattern before its first part with a wildcard."""
    parts = Path(pattern).parts
    fixed = [index for index, part in enumerate(parts) if glob.has_magic(part)]
    return Path(*parts[: fixed[0]]) if fixed else Path(pattern).parent


def _from_file(path: Path, place: Path) -> Source:
    return Source("video" if is_video(str(path)) else "image", str(path), place)


def _from_url(name: str) -> Source:
    """A URL or a camera's number; the results' name is made of what no file system refuses."""
    if is_live(name):
        plain = public_name(name).partition("://")[2] if is_url(name) else f"camera-{name}"
        kind: Literal["live", "video", "image"] = "live"
    else:
        plain = PurePosixPath(unquote(urlsplit(name).path)).name or "image"
        kind = "video" if is_video(name) else "image"
    place = re.sub(r"[^\w.-]+", "-", plain).strip(".-")[-_LONGEST_PLACE:]
    return Source(kind, name, Path(place or "image"))
