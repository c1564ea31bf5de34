"""Reading and writing image files; the only module that uses OpenCV for files."""

from __future__ import annotations

import io
import os
import struct
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cornernet.data.headers import (
    JPEG_START,
    TIFF_ORDERS,
    missing_end,
    pixel_size,
    tiff_fields,
    with_end,
)
from cornernet.errors import UserError
from cornernet.runtime.files import replacing

JPEG_SUFFIXES: tuple[str, ...] = (".jfif", ".jpe", ".jpeg", ".jpg")
"""Suffixes of JPEG files, in lower case; browsers on Windows write the first."""
IMAGE_SUFFIXES: tuple[str, ...] = (".bmp", *JPEG_SUFFIXES, ".png", ".tif", ".tiff", ".webp")
"""Suffixes, in lower case, of the files that are taken for images."""

_EXIF_ORIENTATION = 0x0112
_JPEG_HEADER = 1 << 12  # bytes of a JPEG file in which EXIF data begin
_TIFF_PHOTOMETRIC = 262  # the tag for the colour space
_TIFF_WHITE_IS_ZERO = 0
_TIFF_LAB = (8, 9, 10)
_TIFF_EXTRA = 338  # the tag for the meaning of an extra channel
_TIFF_PREMULTIPLIED, _TIFF_ALPHA = 1, 2
MOST_MEGAPIXELS = 250
"""How many millions of pixels an image may have, unless `limit_image_size` is called."""
# OpenCV 5 moved getLogLevel and setLogLevel, and 4 has no name for the level.
_OPENCV_LOG: Any = getattr(cv2.utils, "logging", cv2)
_OPENCV_SILENT = 0
_most_pixels = 10**6 * MOST_MEGAPIXELS


def read_image(path: str | os.PathLike[str], *, apply_exif: bool = False) -> np.ndarray:
    """Read an image file as RGB.

    Greyscale, palette and CMYK images become RGB, 16-bit values are scaled to 8 bits, and
    transparency is dropped (the stored colours stay, as in other detectors). If a file holds
    several images, as an animation does, the first is read.

    Args:
        path: a file in one of the formats of `IMAGE_SUFFIXES`, or in another format that this
            OpenCV can decode; its name does not matter.
        apply_exif: rotate and flip the image as its EXIF orientation says. This is always done
            for a TIFF file, whose format includes the orientation.

    Returns:
        `[H, W, 3]` uint8, RGB, contiguous.

    Raises:
        UserError: if the file is missing, unreadable, truncated or not an image, if it has more
            pixels than `limit_image_size` allows, if its pixels are in Lab or have neither 8 nor 16
            bits, or if there is too little memory for it.
    """
    return decode_image(read_file(path), path, apply_exif=apply_exif)


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of an image file.

    Raises:
        UserError: if the file is missing or cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise UserError(f"{path}: expected an image, found no such file; check the path") from None
    except IsADirectoryError:
        raise UserError(
            f"{path}: expected an image, found a directory; name a file inside it"
        ) from None
    except OSError as error:
        raise UserError(
            f"{path}: expected a readable image, got the system's error "
            f"'{error.strerror or error}'; check the file and its permissions"
        ) from None


def decode_image(
    data: bytes,
    path: str | os.PathLike[str] = "image",
    *,
    apply_exif: bool = False,
    grey: bool = False,
    strict: bool = False,
    warn: Callable[[str], object] = warnings.warn,
) -> np.ndarray:
    """Decode the content of an image file; see `read_image`.

    Args:
        data: the file's bytes.
        path: what to call the image in errors.
        apply_exif: as of `read_image`.
        grey: decode the brightness alone, `[H, W]`, which is faster.
        strict: refuse a file that lacks its end marker alone, instead of giving a warning.
        warn: takes the warning.
    """
    _check_size(data, path)
    flags = (cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR) | cv2.IMREAD_ANYDEPTH
    if not apply_exif:
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    # OpenCV may fill the missing part of a truncated image with grey and only print a warning.
    # A network would learn from that, so truncation is detected before decoding.
    missing = missing_end(data)
    if missing is not None:
        whole = None if strict else with_end(data)
        if whole is None:
            raise UserError(
                f"{path}: expected a whole image, found {missing}: the file is truncated; "
                "copy or download it again, or take it out of the data"
            )
        warn(f"{path}: {missing}, but with all pixels; it is used")
        data = whole
    try:
        image = _decoded(path, data, flags) if data else None
    except MemoryError as error:
        raise UserError(
            f"{path}: not enough memory for the pixels of this image ({error}); "
            "make the image smaller"
        ) from None
    if image is None:
        found = f"{len(data)} bytes that cannot be decoded" if data else "an empty file"
        raise UserError(
            f"{path}: expected an image ({', '.join(IMAGE_SUFFIXES)}), found {found}; "
            "the file is damaged or of another kind: replace it or take it out"
        )
    return image


def limit_image_size(megapixels: int) -> None:
    """Set how many millions of pixels an image may have in this process; see `runtime`."""
    global _most_pixels
    _most_pixels = megapixels * 10**6


def _check_size(data: bytes, path: str | os.PathLike[str]) -> None:
    """Refuse an image that would take much memory, before it is decoded."""
    width, height = pixel_size(data) or (0, 0)
    if width * height > _most_pixels:
        raise UserError(
            f"{path}: expected an image of at most {_most_pixels // 10**6} megapixels, found "
            f"{width}x{height} pixels in its header; make it smaller, or raise "
            "runtime.max_megapixels if you trust it"
        )


def image_size(path: str | os.PathLike[str], *, apply_exif: bool = False) -> tuple[int, int] | None:
    """Width and height in pixels from the header of an image file; None if it cannot be read.

    Args:
        path: the file.
        apply_exif: the size of the image as it is seen, turned as its EXIF orientation says.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about very large images
            with Image.open(path) as image:
                width, height = image.size
                turned = apply_exif and image.getexif().get(_EXIF_ORIENTATION, 1) in range(5, 9)
    except Exception:  # Pillow raises many kinds of errors for damaged files
        return None
    return (height, width) if turned else (width, height)


def exif_orientation(data: bytes) -> int:
    """The EXIF orientation of an image, 1 to 8, by which `apply_exif` turns it.

    Args:
        data: the file's bytes. 1 for a TIFF file, whose orientation always applies.
    """
    from PIL import Image

    # A JPEG file has the data before its pixels.
    end = _JPEG_HEADER if data.startswith(JPEG_START) else len(data)
    has_exif = any(data.find(mark, 0, end) >= 0 for mark in (b"Exif", b"eXIf"))
    if data[:4] in TIFF_ORDERS or not has_exif:
        return 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                value = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # Pillow raises many kinds of errors for damaged files
        return 1
    return value if value in range(1, 9) else 1


def _decoded(path: str | os.PathLike[str], data: bytes, flags: int) -> np.ndarray | None:
    """Decode the content of a file to uint8, `[H, W, 3]` RGB or grey; None if OpenCV cannot.

    Raises:
        UserError: if the pixels are in Lab or have neither 8 nor 16 bits.
        MemoryError: if there is too little memory.
    """
    if pixel_size(data) is None:  # what cannot be bounded is not decoded
        return None
    data, white_is_zero = _readable_tiff(path, data)
    try:
        with quiet_opencv:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(error.err) from None
        return None
    if image is None:
        return None
    if image.dtype == np.uint16:
        # 65535 = 255 * 257, so this maps the whole range to 0..255 and rounds to nearest.
        image = cv2.convertScaleAbs(image, alpha=1 / 257)
        if white_is_zero:  # OpenCV inverts pixels of 8 bits itself
            image = cv2.bitwise_not(image)
    if image.dtype != np.uint8:
        raise UserError(
            f"{path}: expected pixels of 8 or 16 bits, found {image.dtype}; "
            "save the image with 8 bits per channel"
        )
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def _readable_tiff(path: str | os.PathLike[str], data: bytes) -> tuple[bytes, bool]:
    """Patch a TIFF file so that OpenCV reads its colours right, and say whether white is 0.

    Files of other formats are returned unchanged.
    """
    order = TIFF_ORDERS.get(data[:4])
    if order is None:
        return data, False
    places = {tag: place for tag, _, place in tiff_fields(data)}

    def number(tag: int) -> int | None:
        """A number of 16 bits."""
        place = places.get(tag)
        return None if place is None else struct.unpack_from(order + "H", data, place)[0]

    photometric = number(_TIFF_PHOTOMETRIC)
    if photometric in _TIFF_LAB:
        raise UserError(
            f"{path}: expected an image in RGB, greyscale, CMYK or with a palette, found one in "
            "Lab; save it as RGB"
        )
    if number(_TIFF_EXTRA) == _TIFF_ALPHA:
        # The TIFF library would multiply the colours by alpha. It leaves them as they are if the
        # file says that this was done before.
        value = struct.pack(order + "H", _TIFF_PREMULTIPLIED)
        place = places[_TIFF_EXTRA]
        data = data[:place] + value + data[place + 2 :]
    return data, photometric == _TIFF_WHITE_IS_ZERO


def write_image(path: str | os.PathLike[str], rgb: np.ndarray, *, jpeg_quality: int = 95) -> None:
    """Write an image file atomically: `path` holds either the whole file or the previous one.

    Args:
        path: the suffix, one of `IMAGE_SUFFIXES`, selects the format; the directory must exist.
        rgb: `[H, W, 3]` uint8, RGB.
        jpeg_quality: 1..100; only used for JPEG files.

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
    is_jpeg = suffix in JPEG_SUFFIXES
    options = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality] if is_jpeg else []
    # OpenCV does not know all of the suffixes.
    kind = ".jpg" if is_jpeg else suffix
    done, encoded = cv2.imencode(kind, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise UserError(f"{target}: this OpenCV cannot encode '{suffix}'; choose another suffix")

    try:
        with replacing(target) as temporary:
            temporary.write_bytes(encoded.tobytes())
    except OSError as error:
        raise UserError(
            f"{target}: expected to write an image here, got the system's error "
            f"'{error.strerror or error}'; check that the directory exists and is writable"
        ) from None


class _QuietOpenCV:
    """Silences OpenCV's log, which is the process's: our own error reports the failure.

    Threads may enter it at a time; the last one that leaves restores the level.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._level = _OPENCV_SILENT

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._level = _OPENCV_LOG.getLogLevel()
                _OPENCV_LOG.setLogLevel(_OPENCV_SILENT)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                _OPENCV_LOG.setLogLevel(self._level)


quiet_opencv = _QuietOpenCV()
