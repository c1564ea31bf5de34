"""Which files belong to a split of a data folder.

A data folder holds `annotations/instances_<split>*.json` and the pictures in `<split>*/`; COCO
itself (`instances_train2017.json`, `train2017/`) is such a folder.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cornernet.errors import UserError

_PREFIX = "instances_"


def find_annotations(root: str | os.PathLike[str], split: str) -> Path:
    """The annotation file of a split: `annotations/instances_<split>*.json` under `root`.

    An exact match wins over longer names: of `instances_val.json` and `instances_val2017.json`,
    the split "val" is the former.

    Raises:
        UserError: if there is no such folder, no such file, or more than one.
    """
    folder = Path(root)
    if not split:
        raise UserError("expected the name of a split such as 'train' or 'val', got ''")
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing there"
        raise UserError(
            f"{folder}: expected a data folder in COCO's format, found {found}; "
            "give the folder that holds annotations/ and the pictures, or make one with "
            f"'cornernet data synthesize {folder}'"
        )
    annotations = folder / "annotations"
    exact = annotations / f"{_PREFIX}{split}.json"
    if exact.is_file():
        return exact
    wanted = f"annotations/{_PREFIX}{split}*.json"
    present = sorted(annotations.glob("*.json"))
    candidates = [path for path in present if path.name.startswith(_PREFIX + split)]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise UserError(
            f"{folder}: expected one file {wanted}, found {_names(candidates)}; "
            "name the split in full, without 'instances_' and '.json'"
        )
    found = _names(present) if present else "no .json file in annotations/"
    raise UserError(
        f"{folder}: expected a file {wanted}, found {found}; "
        "rename the annotation file or choose another split"
    )


def find_images(annotation_path: Path, split: str) -> Path:
    """The picture folder that belongs to an annotation file found by `find_annotations`.

    It is named like the file without `instances_` and `.json`; failing that, it is the only folder
    whose name starts with the split's.

    Raises:
        UserError: if there is none, or more than one.
    """
    root = annotation_path.parent.parent
    same_name = root / annotation_path.stem[len(_PREFIX) :]
    if same_name.is_dir():
        return same_name
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    candidates = [path for path in folders if path.name.startswith(split)]
    if len(candidates) == 1:
        return candidates[0]
    found = _names(candidates or folders)
    raise UserError(
        f"{root}: expected the pictures of {annotation_path.name} in the folder "
        f"'{same_name.name}', found the folders {found}; rename the folder of these pictures"
    )


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths) or "none"
