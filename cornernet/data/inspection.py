"""One image of a dataset: its content, and what is wrong with its file."""

from __future__ import annotations

import filecmp
import os
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from cornernet.data.checks import Severity
from cornernet.data.coco import wrong_size
from cornernet.data.headers import missing_end
from cornernet.data.images import (
    JPEG_SUFFIXES,
    decode_image,
    exif_orientation,
    read_file,
    read_image,
)
from cornernet.data.parse import ImageInfo
from cornernet.errors import UserError

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
class Inspection:
    """What reading one image gave.

    Attributes:
        content: the same for the same images, and hardly ever for different ones, see
            `same_content`; "" if there is no file.
        kind: what is wrong with it, in a few words; "" if nothing is.
        severity: of that.
        text: a line about that.
    """

    content: str = ""
    kind: str = ""
    severity: Severity = "note"
    text: str = ""


EMPTY = Inspection()
"""There is no file."""


def inspect_images(
    infos: Sequence[ImageInfo], annotations: Path, threads: int
) -> Iterator[Inspection]:
    """Inspect several images at a time; see `inspect_image`."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield from pool.map(partial(inspect_image, annotations=annotations), infos)
    finally:  # also when it is interrupted: what is waiting would be read first
        pool.shutdown(cancel_futures=True)


def inspect_image(info: ImageInfo, annotations: Path) -> Inspection:
    """Read an image once, and say what is wrong with it.

    It is decoded to grey, which takes half of the time and meets the same faults. Two files of the
    same format have the same brightness if they hold the same image. The checksum of that is a
    quick one.

    Args:
        info: the image as it is annotated.
        annotations: where, for errors.
    """
    path = info.path
    if not os.path.exists(path):
        return EMPTY
    try:
        data = read_file(path)
    except UserError as error:
        return Inspection(f"path {path}", "unreadable image", "error", str(error))
    remarks: list[str] = []
    try:
        image = decode_image(data, path, apply_exif=True, grey=True, warn=remarks.append)
    except UserError as error:
        kind = "unreadable image" if missing_end(data) is None else "truncated image"
        return Inspection(f"file {zlib.crc32(data)}", kind, "error", str(error))
    fault = _fault(info, data, image, annotations)
    if remarks and not fault[0]:
        fault = "image without its end marker", "note", remarks[0]
    return Inspection(f"{image.shape} {zlib.crc32(image.data)}", *fault)


def _fault(
    info: ImageInfo, data: bytes, image: np.ndarray, annotations: Path
) -> tuple[str, Severity, str]:
    """Kind, severity and a line about what is wrong with an image that can be decoded."""
    path, wanted = info.path, (info.height, info.width)
    if image.shape != wanted:
        stored = decode_image(data, path, grey=True, warn=lambda _: None)
        if stored.shape != wanted:
            text = str(wrong_size(info, annotations, [image.shape, stored.shape]))
            return "wrong annotated size", "error", text
        text = f"{path}: annotated as it is stored, without its EXIF orientation"
        return "EXIF orientation that the annotations leave out", "note", text
    orientation = exif_orientation(data)
    if orientation in (2, 3, 4) or (orientation > 4 and info.width == info.height):
        text = (
            f"{path}: turned as its EXIF orientation {orientation} says, which leaves its size as "
            "it is: see whether its boxes fit"
        )
        return "EXIF orientation that the size does not confirm", "note", text
    suffix = os.path.splitext(path)[1].lower()
    for start, suffixes in _STARTS.items():
        if data.startswith(start) and suffix not in suffixes:
            text = f"{path}: the content is that of a {suffixes[-1]} file"
            return "wrong suffix", "note", text
    return "", "note", ""


def same_content(first: str, second: str) -> bool:
    """Whether two files are equal or hold the same image."""
    if filecmp.cmp(first, second, shallow=False):
        return True
    try:
        images = [read_image(path, apply_exif=True) for path in (first, second)]
    except UserError:
        return False
    return np.array_equal(images[0], images[1])
