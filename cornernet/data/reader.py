"""A split of a data directory, read in the format that it has and checked."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from cornernet.data.checks import Issue
from cornernet.data.formats.coco import read_coco
from cornernet.data.formats.voc import read_voc
from cornernet.data.formats.yolo import read_yolo
from cornernet.data.formats.yolo_splits import image_sources
from cornernet.data.layouts import SplitFiles, all_splits
from cornernet.data.parse import ParsedSplit, parse_content
from cornernet.data.paths import ImageFinder


@dataclass(frozen=True)
class Split:
    """A split and what is wrong with it.

    Attributes:
        files: where it lies.
        parsed: its classes and images.
        issues: what its reader found.
    """

    files: SplitFiles
    parsed: ParsedSplit
    issues: list[Issue]


def read_split(files: SplitFiles) -> Split:
    """Read and check the annotations of a split, without decoding an image.

    Raises:
        UserError: if a file cannot be read at all.
    """
    finder = ImageFinder(files.bases, files.root)
    issues: list[Issue] = []
    if files.format == "coco":
        content = read_coco(files.annotations)
    elif files.format == "voc":
        assert files.labels is not None
        content, issues = read_voc(files.annotations, files.labels, finder, files.root)
    else:
        sources = [files.images]  # as a setting says
        if files.images == files.root:
            sources = image_sources(files.annotations, files.root, files.name)
        content, issues = read_yolo(files.annotations, sources, files.root)
    parsed, more = parse_content(content, finder)
    return Split(files, parsed, [*issues, *more])


def read_splits(root: str | os.PathLike[str]) -> dict[str, Split]:
    """Read and check every split of a data directory, by the name that this package gives it.

    Raises:
        UserError: the layout is not recognised, or annotations cannot be read at all.
    """
    return {name: read_split(files) for name, files in all_splits(root).items()}


def with_images(split: Split, indices: list[int]) -> Split:
    """The same split with some of its images."""
    records = [split.parsed.records[index] for index in indices]
    return replace(split, parsed=replace(split.parsed, records=records))
