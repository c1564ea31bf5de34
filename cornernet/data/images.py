"""Reading and writing picture files; the one module that uses OpenCV for files."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cornernet.errors import UserError
from cornernet.runtime.files import replacing

IMAGE_SUFFIXES: tuple[str, ...] = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""Suffixes, in lower case, of the files that are taken for pictures."""

_JPEG_START = b"\xff\xd8\xff"
_PNG_START = b"\x89PNG\r\n\x1a\n"
# FF 00 is an escaped byte of pixel data, FF FF is padding, and TEM (01), the restart markers
# (D0-D7) and start-of-image (D8) have no length: the walk steps over all of them.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
_JPEG_END = b"\xff\xd9"
_TIFF_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_TIFF_COLOURS = 262  # the tag that says what the values mean
_TIFF_WHITE_IS_ZERO = 0
_TIFF_LAB = (8, 9, 10)
_TIFF_EXTRA = 338  # the tag that says what a channel beyond the colours' is
_TIFF_PREMULTIPLIED, _TIFF_ALPHA = 1, 2
# OpenCV 5 moved getLogLevel and setLogLevel, and 4 has no name for the level.
_OPENCV_LOG: Any = getattr(cv2.utils, "logging", cv2)
_OPENCV_SILENT = 0


def read_image(path: str | os.PathLike[str], *, apply_exif: bool = False) -> np.ndarray:
    """Read a picture file as RGB.

    Grey, palette and CMYK pictures become RGB, 16-bit values are scaled to 8 bits, and
    transparency is dropped (the stored colours count, as in other detectors). Of a file that holds
    several pictures, such as an animation, the first is read.

    Args:
        path: a file of one of `IMAGE_SUFFIXES`' formats, whatever its name; and of those that
            this OpenCV knows besides.
        apply_exif: turn the picture as its EXIF orientation says. A TIFF file is turned always:
            there the orientation is part of the format.

    Returns:
        `[H, W, 3]` uint8, RGB, contiguous.

    Raises:
        UserError: if the file is missing, unreadable, truncated, not a picture, or has pixels of
            other than 8 or 16 bits or in Lab; or if there is no memory for it.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise UserError(f"{path}: expected a picture, found no such file; check the path") from None
    except IsADirectoryError:
        raise UserError(
            f"{path}: expected a picture, found a folder; name a file inside it"
        ) from None
    except OSError as error:
        raise UserError(
            f"{path}: expected a readable picture, got the system's error "
            f"'{error.strerror or error}'; check the file and its permissions"
        ) from None

    # OpenCV may fill the missing part of a truncated picture with grey and only print a warning;
    # a network would learn from that, so it is looked for before decoding.
    missing = _missing_end(data)
    if missing is not None:
        raise UserError(
            f"{path}: expected a whole picture, found {missing}: the file is truncated; "
            "copy or download it again, or take it out of the data"
        )

    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    if not apply_exif:
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = _decoded(path, data, flags) if data else None
    except MemoryError as error:
        raise UserError(
            f"{path}: expected memory for this picture's pixels, found too little ({error}); "
            "make the picture smaller"
        ) from None
    if image is None:
        found = f"{len(data)} bytes that cannot be decoded" if data else "an empty file"
        raise UserError(
            f"{path}: expected a picture ({', '.join(IMAGE_SUFFIXES)}), found {found}; "
            "the file is damaged or of another kind: replace it or take it out"
        )
    return image


def _decoded(path: str | os.PathLike[str], data: bytes, flags: int) -> np.ndarray | None:
    """A file's bytes as `[H, W, 3]` uint8 RGB; None where OpenCV cannot decode them.

    Raises:
        UserError: it decodes them to something else than 8 or 16 bits of RGB.
        MemoryError: there is none.
    """
    data, white_is_zero = _readable_tiff(path, data)
    try:
        with _quiet_opencv():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(error.err) from None
        return None
    if image is None:
        return None
    if image.dtype == np.uint16:
        # 65535 = 255 * 257: scales the ends of the range onto each other, rounding to nearest.
        image = cv2.convertScaleAbs(image, alpha=1 / 257)
        if white_is_zero:  # OpenCV sees to it where pixels have 8 bits
            image = cv2.bitwise_not(image)
    if image.dtype != np.uint8:
        raise UserError(
            f"{path}: expected pixels of 8 or 16 bits, found {image.dtype}; "
            "save the picture with 8 bits per channel"
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def _readable_tiff(path: str | os.PathLike[str], data: bytes) -> tuple[bytes, bool]:
    """A TIFF file as OpenCV reads it rightly, and whether white is 0; other files as they are."""
    order = _TIFF_ORDERS.get(data[:4])
    if order is None:
        return data, False
    entries = _tiff_entries(data, order)
    colours, _ = entries.get(_TIFF_COLOURS, (None, 0))
    if colours in _TIFF_LAB:
        raise UserError(
            f"{path}: expected a picture in RGB, grey, CMYK or of a palette, found one in Lab; "
            "save it as RGB"
        )
    extra, place = entries.get(_TIFF_EXTRA, (None, 0))
    if extra == _TIFF_ALPHA:
        # The TIFF library would lay the colours over black; it leaves those alone that are said
        # to have been multiplied by their opacity already.
        value = struct.pack(order + "H", _TIFF_PREMULTIPLIED)
        data = data[:place] + value + data[place + 2 :]
    return data, colours == _TIFF_WHITE_IS_ZERO


def _tiff_entries(data: bytes, order: str) -> dict[int, tuple[int, int]]:
    """Tag to value, and where that stands, of a TIFF file's first picture.

    Values mean something where they are single numbers of 16 bits, as those of the tags above.
    """
    entries: dict[int, tuple[int, int]] = {}
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(order + "HHIH", data, entry)
            entries[tag] = value, entry + 8
    except struct.error:  # cut off or damaged, which OpenCV will find, too
        pass
    return entries


def write_image(path: str | os.PathLike[str], rgb: np.ndarray, *, jpeg_quality: int = 95) -> None:
    """Write a picture file; whoever looks at `path` sees the whole file or the former one.

    Args:
        path: the suffix, one of `IMAGE_SUFFIXES`, chooses the format; the folder must exist.
        rgb: `[H, W, 3]` uint8, RGB.
        jpeg_quality: 1..100; for JPEG files only.

    Raises:
        UserError: if the suffix is unknown or the file cannot be written.
        ValueError: if `rgb` has another shape or dtype.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise UserError(
            f"{target}: expected a file name that ends in one of {', '.join(IMAGE_SUFFIXES)}, "
            f"found '{target.suffix}'; choose another name"
        )
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise ValueError(
            f"write_image: expected rgb to have shape [H, W, 3] and dtype uint8, "
            f"got {list(rgb.shape)} and {rgb.dtype}"
        )
    options = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality] if suffix in (".jpg", ".jpeg") else []
    done, encoded = cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise UserError(f"{target}: this OpenCV cannot encode '{suffix}'; choose another suffix")

    try:
        with replacing(target) as temporary:
            temporary.write_bytes(encoded.tobytes())
    except OSError as error:
        raise UserError(
            f"{target}: expected to write a picture here, got the system's error "
            f"'{error.strerror or error}'; check that the folder exists and is writable"
        ) from None


def _missing_end(data: bytes) -> str | None:
    """What is missing at the end of a file of a known format; None if nothing is."""
    if data.startswith(_JPEG_START) and not _has_jpeg_end(data):
        return "a JPEG file without its end-of-image marker"
    if data.startswith(_PNG_START) and not _has_png_end(data):
        return "a PNG file without its IEND chunk"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        announced = 8 + int.from_bytes(data[4:8], "little")
        if len(data) < announced:
            return f"{len(data)} of the {announced} bytes that its WebP header announces"
    return None


def _has_jpeg_end(data: bytes) -> bool:
    """Walk from marker to marker: the thumbnail inside the header has an end marker of its own."""
    if data.endswith(_JPEG_END):  # a file that ends with its thumbnail cannot be decoded at all
        return True
    position = 2
    while (match := _JPEG_MARKER.search(data, position)) is not None:
        if match.group() == _JPEG_END:
            return True
        position = match.end() + int.from_bytes(data[match.end() : match.end() + 2], "big")
    return False


def _has_png_end(data: bytes) -> bool:
    position = len(_PNG_START)
    while position + 12 <= len(data):  # length (4 bytes), type (4), content, checksum (4)
        if data[position + 4 : position + 8] == b"IEND":
            return True
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    return False


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Silence OpenCV's log: what goes wrong is said once, in our own error."""
    level = _OPENCV_LOG.getLogLevel()
    _OPENCV_LOG.setLogLevel(_OPENCV_SILENT)
    try:
        yield
    finally:
        _OPENCV_LOG.setLogLevel(level)
