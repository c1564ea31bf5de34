"""Which files belong to a split of a data directory, in the layouts that tools export.

`LAYOUTS` is the list of all layouts, the most specific first. A layout finds the annotations of
each split, and says where the images of a split may be.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cornernet.data.directories import (
    SAME_SPLITS,
    WHOLE,
    has_image,
    starts_like_a_split,
    subdirectories,
    visible,
)
from cornernet.data.formats.yolo_splits import YAML_SUFFIXES, find_flat, find_splits
from cornernet.data.images import IMAGE_SUFFIXES
from cornernet.errors import UserError

_PREFIX = "instances_"
_ROBOFLOW = "_annotations.coco.json"
_IMAGE_DIRECTORIES = ("images", "JPEGImages")
_XML_DIRECTORIES = ("Annotations", "annotations")
_WORD = re.compile("[a-z]+")
# How many splits a message names.
_NAMED = 8
# Entries of a directory that are looked at to describe a layout that is not recognised.
_LISTED = 20_000


@dataclass(frozen=True)
class SplitFiles:
    """Where a split lies.

    Attributes:
        annotations: the annotation file, or the directory of annotation files.
        images: the directory that the file names in the annotations start from.
        bases: all directories that file names may start from; `images` is the first.
        root: the data directory, which no file name may leave.
        format: "coco", "voc" or "yolo".
        name: the split as the layout calls it.
        layout: what the layout is called.
        labels: of Pascal VOC, the directory of the XML files.
    """

    annotations: Path
    images: Path
    bases: tuple[Path, ...]
    root: Path
    format: str
    name: str
    layout: str
    labels: Path | None = None


@dataclass(frozen=True)
class Layout:
    """A way to arrange a dataset.

    Attributes:
        name: what people call it.
        format: "coco", "voc" or "yolo".
        sources: finds the annotations of each split below a directory; empty if the directory
            does not have this layout.
        bases: directories that may hold the images of a split, the likeliest first; takes the
            data directory, the annotations, the split's name and the name that was asked for.
            Those that do not exist are left out later.
        labels: of Pascal VOC, the directory of the XML files for the annotations of a split.
    """

    name: str
    format: str
    sources: Callable[[Path], dict[str, Path]]
    bases: Callable[[Path, Path, str, str], list[Path]]
    labels: Callable[[Path, Path], Path] | None = None


# COCO


def _coco_sources(root: Path) -> dict[str, Path]:
    """`annotations/instances_<split>.json`; or any other names if none starts like that."""
    files = visible(root / "annotations", "*.json")
    return _by_split([path for path in files if path.stem.startswith(_PREFIX)] or files)


def _flat_sources(root: Path) -> dict[str, Path]:
    """JSON files beside the images or their directory; but not one for each image."""
    files = [path for path in visible(root, "*.json") if not has_image(path)]
    for name in ("result.json", _ROBOFLOW):
        if root / name in files:
            return {WHOLE: root / name}
    return _by_split(files)


def _by_split(files: list[Path]) -> dict[str, Path]:
    """Annotation files by split; a single one that is not called like a split is all there is."""
    found = {path.stem.removeprefix(_PREFIX): path for path in files}
    if len(found) == 1 and not any(starts_like_a_split(name) for name in found):
        return dict.fromkeys([WHOLE], files[0])
    return found


def _coco_bases(root: Path, source: Path, name: str, asked: str) -> list[Path]:
    bases = []
    if name != WHOLE:
        bases = [root / name, root / "images" / name]
        bases += _only_one(root, asked) + _only_one(root / "images", asked)
        bases += [root / name / "images"]
    else:
        bases = [root / "images" / "default"]
    bases += [root / directory for directory in _IMAGE_DIRECTORIES]
    return [*bases, source.parent, root] if source.parent != root / "annotations" else bases


def _only_one(parent: Path, start: str) -> list[Path]:
    """The only directory whose name starts like this; none if there are several."""
    found = [path for path in subdirectories(parent) if start and path.name.startswith(start)]
    return found if len(found) == 1 else []


def _per_split_sources(root: Path) -> dict[str, Path]:
    """`<split>/_annotations.coco.json`, or the only JSON file in a split's directory."""
    found = {}
    for directory in subdirectories(root):
        files = visible(directory, "*.json")
        if directory / _ROBOFLOW in files:
            found[directory.name] = directory / _ROBOFLOW
        elif len(files) == 1 and starts_like_a_split(directory.name):
            found[directory.name] = files[0]
    return found


def _beside(root: Path, source: Path, name: str, asked: str) -> list[Path]:
    """The directory of the annotations, or a directory of images below or beside it."""
    own = source if source.is_dir() else source.parent
    return [
        *(own / directory for directory in _IMAGE_DIRECTORIES),
        *(own.parent / directory for directory in _IMAGE_DIRECTORIES if own != root),
        own,
    ]


# Pascal VOC


def _voc_sources(root: Path) -> dict[str, Path]:
    """`Annotations/*.xml` with the lists of `ImageSets/Main`, or without."""
    for name in _XML_DIRECTORIES:
        directory = root / name
        if not visible(directory, "*.xml"):
            splits = [path for path in subdirectories(directory) if visible(path, "*.xml")]
            if splits:
                return {path.name: path for path in splits}
            continue
        for lists in (root / "ImageSets" / "Main", root / "ImageSets"):
            # Lists of single classes are called <class>_<split>.txt.
            found = {path.stem: path for path in visible(lists, "*.txt")}
            found = {name: path for name, path in found.items() if starts_like_a_split(name)}
            if found:
                return found
        return {WHOLE: directory}
    return {}


def _voc_labels(root: Path, source: Path) -> Path:
    if source.is_dir():
        return source
    return next(root / name for name in _XML_DIRECTORIES if (root / name).is_dir())


def _voc_bases(root: Path, source: Path, name: str, asked: str) -> list[Path]:
    bases = [root / directory for directory in reversed(_IMAGE_DIRECTORIES)]
    return [*(base / name for base in bases if name), *bases, _voc_labels(root, source)]


def _xml_per_split_sources(root: Path) -> dict[str, Path]:
    """`<split>/*.xml` beside the images (Roboflow), or `<split>/Annotations/*.xml`."""
    found = {}
    for directory in subdirectories(root):
        for path in (directory, *(directory / name for name in _XML_DIRECTORIES)):
            if starts_like_a_split(directory.name) and visible(path, "*.xml"):
                found[directory.name] = path
    return found


def _xml_sources(root: Path) -> dict[str, Path]:
    return {WHOLE: root} if visible(root, "*.xml") else {}


def _own_directory(root: Path, source: Path) -> Path:
    return source


# YOLO


def _root_only(root: Path, source: Path, name: str, asked: str) -> list[Path]:
    return [root]


LAYOUTS = (
    Layout("COCO", "coco", _coco_sources, _coco_bases),
    Layout("YOLO", "yolo", find_splits, _root_only),
    Layout("COCO in a directory for each split", "coco", _per_split_sources, _beside),
    Layout("Pascal VOC", "voc", _voc_sources, _voc_bases, _voc_labels),
    Layout(
        "Pascal VOC in a directory for each split",
        "voc", _xml_per_split_sources, _beside, _own_directory,
    ),
    Layout("COCO in one directory", "coco", _flat_sources, _coco_bases),
    Layout("Pascal VOC in one directory", "voc", _xml_sources, _beside, _own_directory),
    Layout("YOLO in one directory", "yolo", find_flat, _root_only),
)  # fmt: skip


# Finding a split


def find_split(root: str | os.PathLike[str], split: str, field: str = "split") -> SplitFiles:
    """Find the files of a split in whatever layout a data directory has.

    An exact name wins over longer ones: of `instances_val.json` and `instances_val2017.json`, the
    split "val" is the former. In a layout without splits, every name stands for all images.

    Args:
        root: the data directory.
        split: "train", "val", "val2017", ...
        field: setting or argument that `split` comes from, for errors.

    Raises:
        UserError: the layout is not recognised, or has no such split or more than one.
    """
    files = try_split(root, split, field)
    if files is not None:
        return files
    layout, sources = recognise(Path(root))
    names = list(sources)
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    raise UserError(
        f"is '{split}', but {root} ({layout.name}) has no such split, only "
        f"{', '.join(names[:_NAMED])}{rest}; choose one of these",
        field=field,
    )


def try_split(root: str | os.PathLike[str], split: str, field: str) -> SplitFiles | None:
    """As `find_split`, but None if the layout has no such split."""
    directory = Path(root)
    if not split:
        raise UserError("must be the name of a split such as 'train' or 'val', got ''", field=field)
    layout, sources = recognise(directory)
    if WHOLE in sources:
        return _files(layout, directory, sources[WHOLE], WHOLE, split)
    name = _chosen(directory, sources, split, field)
    return None if name is None else _files(layout, directory, sources[name], name, split)


def all_splits(root: str | os.PathLike[str]) -> dict[str, SplitFiles]:
    """The files of every split of a data directory, by the name that this package gives it.

    Raises:
        UserError: the layout is not recognised.
    """
    directory = Path(root)
    layout, sources = recognise(directory)
    found = {}
    for name, source in sources.items():
        same = next((names for names in SAME_SPLITS if name.lower() in names), (name or "train",))
        found[same[0]] = _files(layout, directory, source, name, name)
    return found


def recognise(root: Path) -> tuple[Layout, dict[str, Path]]:
    """The layout of a data directory, and the annotations of its splits.

    Raises:
        UserError: there is no such directory, or its layout is not recognised.
    """
    if not root.is_dir():
        if root.exists():
            raise UserError(
                f"{root}: expected a data directory, found a file; name the directory that holds "
                f"annotations and images, such as {root.parent}, and the file, if it is not found "
                "there, as data.train_annotations"
            )
        raise UserError(
            f"{root}: expected a data directory, found nothing there; name the directory that "
            "holds annotations and images, or make one with "
            f"'cornernet data synthesize {root}'"
        )
    for layout in LAYOUTS:
        if sources := layout.sources(root):
            return layout, sources
    raise UserError(f"{root}: {_description(root)}")


def explicit_split(
    root: Path, annotations: str, images: str, split: str, fields: tuple[str, str]
) -> SplitFiles:
    """The files of a split that settings name, whatever the layout is.

    Args:
        root: the data directory; relative paths may start from it.
        annotations: a JSON file, a directory of XML files or a `data.yaml`.
        images: the directory of the images; "" looks around the annotations.
        split: the split of a `data.yaml`.
        fields: the settings that `annotations` and `images` come from.

    Raises:
        UserError: there is nothing of that name.
    """
    source = existing(root, annotations, fields[0])
    own = source if source.is_dir() else source.parent
    bases = [existing(root, images, fields[1])] if images else []
    is_yolo = source.suffix.lower() in YAML_SUFFIXES
    format = "voc" if source.is_dir() else "yolo" if is_yolo else "coco"
    if format == "yolo":
        return SplitFiles(source, (bases or [own])[0], (*bases, own), own, format, split, "as set")
    for base in (own, own.parent):
        bases += [base / split, base / "images" / split, base / split / "images"]
        bases += [*(base / directory for directory in _IMAGE_DIRECTORIES), base]
    kept = tuple(path for path in dict.fromkeys(bases) if path.is_dir())
    return SplitFiles(source, kept[0], kept, root, format, split, "as set", own)


def existing(root: Path, name: str, field: str) -> Path:
    """A path that a setting names, from the data directory or from the current one."""
    for path in (root / name, Path(name)):
        if os.path.exists(path):
            return path
    raise UserError(f"is '{name}', but there is nothing of that name, nor in {root}", field=field)


def _chosen(root: Path, sources: Mapping[str, Path], split: str, field: str) -> str | None:
    """The name in a layout of the split that was asked for; None if it has none."""
    same = next((names for names in SAME_SPLITS if split in names), (split,))
    lower = {name.lower(): name for name in sources}
    for name in (split, *same):
        if name in sources or name in lower:
            return name if name in sources else lower[name]
    candidates = [name for name in sources if name.startswith(split)]
    if not candidates:  # such as labels_train.json
        candidates = [name for name in sources if set(same) & set(_WORD.findall(name.lower()))]
    if len(candidates) > 1:
        files = ", ".join(sources[name].name for name in candidates)
        raise UserError(
            f"is '{split}', which fits more than one split in {root}: {', '.join(candidates)} "
            f"({files}); write the name in full",
            field=field,
        )
    return candidates[0] if candidates else None


def _files(layout: Layout, root: Path, source: Path, name: str, asked: str) -> SplitFiles:
    bases = [*layout.bases(root, source, name, asked), root]
    kept = tuple(path for path in dict.fromkeys(bases) if path.is_dir())
    labels = None if layout.labels is None else layout.labels(root, source)
    return SplitFiles(source, kept[0], kept, root, layout.format, name, layout.name, labels)


# A layout that is not recognised


def _description(root: Path) -> str:
    """What is in a directory whose layout is not recognised, and what helps, as a sentence."""
    for directory in subdirectories(root):
        for layout in LAYOUTS:
            if "one directory" in layout.name:  # any .json or .xml file would do
                continue
            try:
                known = bool(layout.sources(directory))
            except UserError:
                continue
            if known:
                return f"found {layout.name} in {directory.name}/; name {directory} instead"
    counts = _suffixes(root)
    seen = ", ".join(f"{count} {suffix or 'other'} files" for suffix, count in counts[:4])
    suffixes = {suffix for suffix, _ in counts}
    if any(has_image(path) for path in visible(root, "*.json")):
        guess = "this looks like LabelMe, one .json file for each image: export it as COCO"
    elif ".xml" in suffixes:
        guess = "this looks like Pascal VOC without the directory Annotations"
    elif ".txt" in suffixes and suffixes & set(IMAGE_SUFFIXES):
        guess = "this looks like YOLO without data.yaml, the file that names the classes"
    elif ".csv" in suffixes or ".tfrecord" in suffixes:
        guess = "tables and records are not read: export the dataset as COCO"
    elif ".json" in suffixes:
        guess = "the .json files are not where a known layout has them"
    else:
        guess = "there are no annotations among them"
    return (
        "expected annotations as COCO, Pascal VOC or YOLO have them (annotations/instances_*.json, "
        f"Annotations/*.xml, data.yaml), found {seen or 'no files'}: {guess}; move them, or name "
        "them by data.train_annotations and their images by data.train_images"
    )


def _suffixes(root: Path) -> list[tuple[str, int]]:
    counts: Counter[str] = Counter()
    for number, name in enumerate(_walk(root)):
        if number == _LISTED:
            break
        counts[os.path.splitext(name)[1].lower()] += 1
    return counts.most_common()


def _walk(root: Path) -> Iterable[str]:
    for _, _, names in os.walk(root):
        yield from names
