"""A look at a whole dataset: counts, and what is wrong with its annotations and its images."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cornernet.data.checks import Severity
from cornernet.data.coco import read_annotated
from cornernet.data.images import JPEG_SUFFIXES, read_image
from cornernet.data.parse import ImageInfo, Record
from cornernet.data.reader import Split
from cornernet.errors import UserError

# COCO's limits between small, medium and large objects, in pixels of area.
_SMALL, _LARGE = 32**2, 96**2
# The first bytes of files, and the suffixes that files which start like that have.
_STARTS = {
    b"\xff\xd8\xff": JPEG_SUFFIXES,
    b"\x89PNG": (".png",),
    b"BM": (".bmp",),
    b"RIFF": (".webp",),
    b"II*\0": (".tif", ".tiff"),
    b"MM\0*": (".tif", ".tiff"),
}


@dataclass(frozen=True)
class Finding:
    """Something to know about a dataset.

    Attributes:
        split: where it was found; for images in two splits, both.
        kind: what it is, in a few words.
        severity: as of an `Issue`: an error stops a training.
        count: how often it was found.
        text: one line about the first.
    """

    split: str
    kind: str
    severity: Severity
    count: int
    text: str


@dataclass(frozen=True)
class Survey:
    """What a dataset holds.

    Attributes:
        layout: what its layout is called.
        splits: counts of each split, as plain data.
        findings: what is wrong, errors first.
    """

    layout: str
    splits: dict[str, dict[str, Any]]
    findings: list[Finding]

    @property
    def usable(self) -> bool:
        """Whether a training can use it as it is."""
        return all(finding.severity != "error" for finding in self.findings)


@dataclass(frozen=True)
class _Look:
    """What reading one image gave: a hash of its file, and a fault and a line about it."""

    content: bytes
    kind: str = ""
    severity: Severity = "note"
    text: str = ""


def survey(
    splits: Mapping[str, Split], threads: int, progress: Callable[[], None] = lambda: None
) -> Survey:
    """Read every image of a dataset and count what it holds.

    Args:
        splits: all splits by name.
        threads: images to decode at a time.
        progress: called after each image.
    """
    findings: list[Finding] = []
    counts: dict[str, dict[str, Any]] = {}
    places: dict[bytes, list[tuple[str, str]]] = {}
    for name, split in splits.items():
        counts[name] = _counts(split)
        findings += [
            Finding(name, issue.kind.name, issue.kind.severity, issue.count, str(issue))
            for issue in split.issues
        ]
        looks: list[_Look] = []
        infos = [record.info for record in split.parsed.records]
        with ThreadPoolExecutor(threads) as pool:
            read = partial(_look, annotations=split.files.annotations)
            for info, look in zip(infos, pool.map(read, infos), strict=True):
                looks.append(look)
                if look.content:
                    places.setdefault(look.content, []).append((name, info.file_name))
                progress()
        findings += _faults(name, looks)
        findings += _repeated_boxes(name, split.parsed.records)
    findings += _duplicates(places)
    order = ("error", "dropped", "note")
    findings.sort(key=lambda finding: order.index(finding.severity))
    layout = next(iter(splits.values())).files.layout if splits else ""
    return Survey(layout, counts, findings)


def _counts(split: Split) -> dict[str, Any]:
    records = split.parsed.records
    truths = [record.truth for record in records]
    labels = Counter(label for truth in truths for label in truth.labels.tolist())
    areas = np.concatenate([truth.areas for truth in truths]) if truths else np.zeros(0)
    sides = [max(record.info.width, record.info.height) for record in records]
    return {
        "annotations": str(split.files.annotations),
        "images": len(records),
        "images without objects": sum(len(truth.labels) == 0 for truth in truths),
        "longer side": {"min": min(sides, default=0), "max": max(sides, default=0)},
        "objects": len(areas),
        "crowds": sum(int(truth.crowds.sum()) for truth in truths),
        "ignored": sum(int(truth.ignored.sum()) for truth in truths),
        "objects by size": {
            "small": int((areas < _SMALL).sum()),
            "medium": int(((areas >= _SMALL) & (areas <= _LARGE)).sum()),
            "large": int((areas > _LARGE).sum()),
        },
        "objects by class": {
            name: labels[label] for label, name in enumerate(split.parsed.classes)
        },
    }


def _look(info: ImageInfo, annotations: Path) -> _Look:
    """Read an image, and say what is wrong with it."""
    try:
        data = Path(info.path).read_bytes()
    except OSError:
        # A missing file is an issue of the annotations.
        missing = not os.path.exists(info.path)
        return _Look(b"") if missing else _Look(b"", "unreadable image", "error", info.path)
    content = hashlib.blake2b(data, digest_size=16).digest()
    try:
        image = read_image(info.path, apply_exif=True)
    except UserError as error:
        return _Look(content, "unreadable image", "error", str(error))
    if image.shape[:2] != (info.height, info.width):
        try:
            read_annotated(info, annotations)
        except UserError as error:
            return _Look(content, "wrong annotated size", "error", str(error))
        text = f"{info.path}: annotated as it is stored, without its EXIF orientation"
        return _Look(content, "EXIF orientation that the annotations leave out", "note", text)
    suffix = Path(info.path).suffix.lower()
    for start, suffixes in _STARTS.items():
        if data.startswith(start) and suffix not in suffixes:
            text = f"{info.path}: the content is that of a {suffixes[-1]} file"
            return _Look(content, "wrong suffix", "note", text)
    return _Look(content)


def _faults(split: str, looks: list[_Look]) -> list[Finding]:
    """One finding for each kind of fault of a split's images."""
    kinds: dict[str, list[_Look]] = {}
    for look in looks:
        if look.kind:
            kinds.setdefault(look.kind, []).append(look)
    return [
        Finding(split, kind, found[0].severity, len(found), found[0].text)
        for kind, found in kinds.items()
    ]


def _repeated_boxes(split: str, records: list[Record]) -> list[Finding]:
    """Objects that are annotated twice: one class, one box."""
    count, first = 0, ""
    for record in records:
        truth = record.truth
        rows = np.column_stack([truth.labels, truth.boxes])
        extra = len(rows) - len(np.unique(rows, axis=0)) if len(rows) else 0
        if extra and not first:
            first = f"{record.info.file_name} has an object twice: the same class, the same box"
        count += extra
    return [Finding(split, "repeated object", "note", count, first)] if count else []


def _duplicates(places: Mapping[bytes, list[tuple[str, str]]]) -> list[Finding]:
    """Images with the same content, by the splits that they are in."""
    groups: dict[str, list[str]] = {}
    for found in places.values():
        if len(found) > 1:
            splits = " and ".join(dict.fromkeys(split for split, _ in found))
            names = " and ".join(f"{split}: {name}" for split, name in found[:2])
            groups.setdefault(splits, []).append(names)
    return [
        Finding(
            splits,
            "image in several splits" if " and " in splits else "repeated image",
            "note",
            len(names),
            f"the same content: {names[0]}",
        )
        for splits, names in groups.items()
    ]
