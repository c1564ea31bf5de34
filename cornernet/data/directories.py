"""What layouts look for in directories."""

from __future__ import annotations

from pathlib import Path

from cornernet.data.images import IMAGE_SUFFIXES

WHOLE = ""
"""The name of the only split of a layout that knows no splits."""
SAME_SPLITS = (("val", "valid", "validation"), ("train", "training"), ("test", "testing"))
"""Names of splits that mean the same; this package uses the first."""

_SPLITS = (*(name for names in SAME_SPLITS for name in names), "trainval")


def visible(directory: Path, pattern: str) -> list[Path]:
    """Sorted files that fit a pattern, without those that systems hide, such as macOS's `._a`."""
    return sorted(path for path in directory.glob(pattern) if not path.name.startswith("."))


def subdirectories(root: Path) -> list[Path]:
    """Sorted directories below a directory; none if it is not there."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir())


def starts_like_a_split(name: str) -> bool:
    """Whether a name is that of a split, or such a name with something behind it."""
    return name.lower().startswith(_SPLITS)


def has_image(path: Path) -> bool:
    """Whether an image of the same name lies beside a file."""
    return any(path.with_suffix(suffix).is_file() for suffix in IMAGE_SUFFIXES)
