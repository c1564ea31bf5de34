"""Which files belong to a split of a data directory.

A data directory holds `annotations/instances_<split>*.json` and the images in `<split>*/`; COCO
itself (`instances_train2017.json`, `train2017/`) is such a directory.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cornernet.errors import UserError

_PREFIX = "instances_"


@dataclass(frozen=True)
class SplitFiles:
    """Where a split lies.

    Attributes:
        annotations: the annotation file.
        images: the directory that the file names in the annotation file start from.
    """

    annotations: Path
    images: Path


def find_split(root: str | os.PathLike[str], split: str, field: str = "split") -> SplitFiles:
    """Find the files of a split.

    The annotation file is `annotations/instances_<split>*.json` under `root`. An exact match wins
    over longer names: of `instances_val.json` and `instances_val2017.json`, the split "val" is the
    former. The directory of its images has the name of the file without `instances_` and `.json`;
    if there is none, it is the only directory whose name starts with `split`.

    Args:
        root: the data directory.
        split: "train", "val", "val2017", ...
        field: setting or argument that `split` comes from, for errors.

    Raises:
        UserError: if there is no such file or directory, or more than one.
    """
    directory = Path(root)
    if not split:
        raise UserError("must be the name of a split such as 'train' or 'val', got ''", field=field)
    if not directory.is_dir():
        found = "a file" if directory.exists() else "nothing there"
        raise UserError(
            f"{directory}: expected a data directory in COCO's format, found {found}; "
            "name the directory that holds annotations/ and the images, or make one with "
            f"'cornernet data synthesize {directory}'"
        )
    annotations = _find_annotations(directory, split, field)
    return SplitFiles(annotations, _find_images(annotations, split))


def _find_annotations(root: Path, split: str, field: str) -> Path:
    directory = root / "annotations"
    exact = directory / f"{_PREFIX}{split}.json"
    if exact.is_file():
        return exact
    wanted = f"annotations/{_PREFIX}{split}*.json"
    present = sorted(directory.glob("*.json"))
    candidates = [path for path in present if path.name.startswith(_PREFIX + split)]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise UserError(
            f"is '{split}', which fits more than one annotation file in {root}: "
            f"{_names(candidates)}; write the name of the split in full, without 'instances_' and "
            "'.json'",
            field=field,
        )
    if present:
        raise UserError(
            f"is '{split}', but {root} has no file {wanted}, only {_names(present)}; "
            "choose another split or rename the annotation file",
            field=field,
        )
    raise UserError(
        f"{root}: expected a file {wanted}, found no .json file in annotations/; name the "
        "directory that holds annotations/, or convert the annotations to COCO's format"
    )


def _find_images(annotations: Path, split: str) -> Path:
    root = annotations.parent.parent
    same_name = root / annotations.stem[len(_PREFIX) :]
    if same_name.is_dir():
        return same_name
    directories = sorted(path for path in root.iterdir() if path.is_dir())
    candidates = [path for path in directories if path.name.startswith(split)]
    if len(candidates) == 1:
        return candidates[0]
    raise UserError(
        f"{root}: expected the images of {annotations.name} in the directory '{same_name.name}', "
        f"found the directories {_names(candidates or directories)}; rename the directory of "
        "these images"
    )


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths)
