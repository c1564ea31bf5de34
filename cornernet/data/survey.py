"""A look at a whole dataset: counts, and what is wrong with its annotations and its images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cornernet.data.checks import Severity
from cornernet.data.inspection import EMPTY, Inspection, inspect_images, same_content
from cornernet.data.parse import Record
from cornernet.data.reader import Split

# COCO's limits between small, medium and large objects, in pixels of area.
_SMALL, _LARGE = 32**2, 96**2


@dataclass(frozen=True)
class Finding:
    """Something to know about a dataset.

    Attributes:
        split: where it was found; for images in two splits, both.
        kind: what it is, in a few words.
        severity: as of an `Issue`: an error stops a training.
        count: how often it was found.
        text: one line about the first.
        items: all of them: names of files, or ids in the annotations.
    """

    split: str
    kind: str
    severity: Severity
    count: int
    text: str
    items: tuple[str, ...] = ()


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


def survey(
    splits: Mapping[str, Split], threads: int, progress: Callable[[], None] = lambda: None
) -> Survey:
    """Read every image of a dataset once and count what it holds.

    Args:
        splits: all splits by name.
        threads: images to decode at a time.
        progress: called after each image.
    """
    findings: list[Finding] = []
    counts: dict[str, dict[str, Any]] = {}
    images: dict[tuple[str, str], Inspection] = {}
    for name, split in splits.items():
        counts[name] = _counts(split)
        findings += [
            Finding(
                name,
                issue.kind.name,
                issue.kind.severity,
                issue.count,
                str(issue),
                tuple(map(str, issue.ids)),
            )
            for issue in split.issues
        ]
        found = []
        infos = [record.info for record in split.parsed.records]
        looks = inspect_images(infos, split.files.annotations, threads)
        for info, image in zip(infos, looks, strict=True):
            found.append((info.file_name, image))
            progress()
        # A missing file is an issue of the annotations.
        images |= {(name, file): image for file, image in found if image is not EMPTY}
        findings += _faults(name, found)
        findings += _repeated_boxes(name, split.parsed.records)
    findings += _duplicates(images, splits)
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


def _faults(split: str, images: Sequence[tuple[str, Inspection]]) -> list[Finding]:
    """One finding for each kind of fault of a split's images."""
    kinds: dict[str, list[tuple[str, Inspection]]] = {}
    for file, image in images:
        if image.kind:
            kinds.setdefault(image.kind, []).append((file, image))
    return [
        Finding(
            split,
            kind,
            found[0][1].severity,
            len(found),
            found[0][1].text,
            tuple(file for file, _ in found),
        )
        for kind, found in kinds.items()
    ]


def _repeated_boxes(split: str, records: list[Record]) -> list[Finding]:
    """Objects that are annotated twice: one class, one box."""
    count = 0
    files = []
    for record in records:
        truth = record.truth
        boxes = map(tuple, truth.boxes.tolist())
        extra = len(truth.labels) - len(set(zip(truth.labels.tolist(), boxes, strict=True)))
        if extra:
            files.append(record.info.file_name)
        count += extra
    if not count:
        return []
    text = f"{files[0]} has an object twice: the same class, the same box"
    return [Finding(split, "repeated object", "note", count, text, tuple(files))]


def _duplicates(
    images: Mapping[tuple[str, str], Inspection], splits: Mapping[str, Split]
) -> list[Finding]:
    """Images with the same content, by the splits that they are in."""
    paths = {
        (name, record.info.file_name): record.info.path
        for name, split in splits.items()
        for record in split.parsed.records
    }
    by_content: dict[str, list[tuple[str, str]]] = {}
    for place, image in images.items():
        by_content.setdefault(image.content, []).append(place)
    groups: dict[str, list[list[tuple[str, str]]]] = {}
    for places in by_content.values():
        same = [place for place in places if same_content(paths[place], paths[places[0]])]
        if len(same) > 1:
            names = " and ".join(dict.fromkeys(split for split, _ in same))
            groups.setdefault(names, []).append(same)
    return [
        Finding(
            names,
            "image in several splits" if " and " in names else "repeated image",
            "note",
            len(found),
            "the same content: " + " and ".join(f"{split}: {file}" for split, file in found[0][:2]),
            tuple(" = ".join(f"{split}: {file}" for split, file in same) for same in found),
        )
        for names, found in groups.items()
    ]
