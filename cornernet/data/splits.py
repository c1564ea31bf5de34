"""The training and the validation split of a data directory, as the settings want them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cornernet.config import Config
from cornernet.data.coco import CocoDataset, used_classes
from cornernet.data.directories import WHOLE
from cornernet.data.layouts import (
    SplitFiles,
    existing,
    explicit_split,
    find_split,
    recognise,
    try_split,
)
from cornernet.data.reader import Split, read_split, read_splits, with_images
from cornernet.errors import UserError

_DEFAULT_VAL = "val"


def training_splits(config: Config, data: str | Path) -> tuple[CocoDataset, CocoDataset]:
    """The splits to learn from and to validate on.

    The classes are the categories of the training split that have an object in one of both.

    Args:
        config: sections data and train.
        data: the data directory.

    Raises:
        UserError: the data is not there, is bad or has no object.
    """
    training, validation, note = _read_both(config, Path(data))
    used = {*used_classes(training.parsed), *used_classes(validation.parsed)}
    classes = [name for name in training.parsed.classes if name in used]
    path = training.files.annotations
    learnt = CocoDataset(
        data,
        training,
        **_policy(config),
        filter_empty=config.data.filter_empty,
        min_size=config.data.min_size,
        classes=classes or None,
        classes_of=path.name,
    )
    validated = CocoDataset(
        data,
        validation,
        **_policy(config),
        classes=learnt.classes,
        classes_of=path.name,
    )
    learnt.notes += note
    if not validated.has_truth():
        validated.notes.append(
            f"{validated.annotation_path.name}: no object to validate on, so AP is n/a and best.pt "
            "holds the latest weights; choose another validation split"
        )
    if validated.annotation_path == learnt.annotation_path:
        # Both were read at once: what is said of one is said of the other.
        validated.notes = [text for text in validated.notes if text not in learnt.notes]
    return learnt, validated


def chosen_splits(config: Config, data: str | Path) -> dict[str, Split]:
    """Every split of a data directory; or those that settings name, as "train" and "val".

    Args:
        config: sections data and train.
        data: the data directory.

    Raises:
        UserError: the layout is not recognised, or annotations cannot be read at all.
    """
    settings, root = config.data, Path(data)
    named = (
        settings.train_annotations, settings.train_images,
        settings.val_annotations, settings.val_images,
    )  # fmt: skip
    if not any(named):
        return read_splits(root)
    files = _val_files(config, root)
    validation = {} if files is None else {"val": read_split(files)}
    return {"train": read_split(_train_files(config, root)), **validation}


def learnt_share(config: Config, splits: Mapping[str, Split]) -> float:
    """The share of the training images that is learnt: the rest is held out for validation."""
    return 1 - config.data.val_share if set(splits) <= {"train", "test"} else 1.0


def evaluation_split(
    config: Config, data: str | Path, split: str | None, classes: Sequence[str]
) -> CocoDataset:
    """The split to evaluate on, with the classes of the weights.

    Args:
        config: of the weights; sections data and train.
        data: the data directory.
        split: None takes the split that a training with this configuration would validate on.
        classes: class names by label.
    """
    note: list[str] = []
    if split is None:
        files = _val_files(config, Path(data))
        if files is not None:
            chosen = read_split(files)
        else:
            whole = read_split(_train_files(config, Path(data)))
            _, chosen, note = _shared(config, Path(data), whole)
    else:
        chosen = read_split(find_split(data, split))
    dataset = CocoDataset(data, chosen, classes=classes, **_policy(config))
    dataset.notes += note
    return dataset


def _policy(config: Config) -> dict[str, Any]:
    """What is to be done about bad boxes and images."""
    data = config.data
    return {"strict": data.strict, "on_error": data.on_error, "max_skipped": data.max_skipped}


def _train_files(config: Config, data: Path) -> SplitFiles:
    settings = config.data
    if settings.train_annotations:
        return explicit_split(
            data, settings.train_annotations, settings.train_images, settings.train_split,
            ("data.train_annotations", "data.train_images"),
        )  # fmt: skip
    files = find_split(data, settings.train_split, "data.train_split")
    return _with_image_directory(files, data, settings.train_images, "data.train_images")


def _val_files(config: Config, data: Path) -> SplitFiles | None:
    """Where the validation split is; None if there is none and nobody asked for one by name."""
    settings = config.data
    if settings.val_annotations:
        return explicit_split(
            data, settings.val_annotations, settings.val_images, settings.val_split,
            ("data.val_annotations", "data.val_images"),
        )  # fmt: skip
    field = "data.val_split"
    if settings.train_annotations and settings.val_split == _DEFAULT_VAL:
        try:
            files = try_split(data, settings.val_split, field)
        except UserError:  # the settings describe a layout that is not recognised
            return None
    elif settings.val_split == _DEFAULT_VAL:
        files = try_split(data, settings.val_split, field)
    else:
        files = find_split(data, settings.val_split, field)
    if files is None or (files.name == WHOLE and settings.val_split != settings.train_split):
        return None
    return _with_image_directory(files, data, settings.val_images, "data.val_images")


def _with_image_directory(files: SplitFiles, data: Path, images: str, field: str) -> SplitFiles:
    """The same split with the image directory that a setting names, if it names one."""
    if not images:
        return files
    directory = existing(data, images, field)
    return replace(files, images=directory, bases=(directory, *files.bases))


def _read_both(config: Config, data: Path) -> tuple[Split, Split, list[str]]:
    """The training and the validation split, and a line about how the latter was made."""
    training = read_split(_train_files(config, data))
    files = _val_files(config, data)
    if files is None:
        learnt, held_out, note = _shared(config, data, training)
        # What is wrong was found in one file: it is said of the images to learn from.
        return learnt, replace(held_out, issues=[]), note
    return training, read_split(files), []


def _shared(config: Config, data: Path, whole: Split) -> tuple[Split, Split, list[str]]:
    """A split in two parts: the images to learn from, and `data.val_share` of them held out."""
    share, seed, count = config.data.val_share, config.train.seed, len(whole.parsed.records)
    if not share:
        raise UserError(
            f"is 0, but {data} has no validation split; set it to the share of the training images "
            "to hold out, such as 0.2, or name a split as data.val_split",
            field="data.val_share",
        )
    if count < 2:
        raise UserError(
            f"{whole.files.annotations}: expected two or more images, to hold some out for "
            f"validation, found {count}; add images, or name a split as data.val_split"
        )
    number = min(max(1, round(share * count)), count - 1)
    held_out = set(np.random.default_rng(seed).permutation(count)[:number].tolist())
    learnt = [index for index in range(count) if index not in held_out]
    note = (
        f"no validation split in {data} ({_what(data)}): {number} of {count} images of "
        f"{whole.files.annotations.name} are held out, drawn with data.val_share = {share:g} and "
        f"train.seed = {seed}"
    )
    return with_images(whole, learnt), with_images(whole, sorted(held_out)), [note]


def _what(data: Path) -> str:
    """The layout and its splits in a few words."""
    try:
        layout, sources = recognise(data)
    except UserError:
        return "not recognised"
    splits = ", ".join(name for name in sources if name != WHOLE)
    return f"{layout.name}: {splits}" if splits else layout.name
