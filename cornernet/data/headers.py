"""What the bytes of an image file say before it is decoded: its size, and whether it is whole."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator

JPEG_START = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
# FF 00 is an escaped byte of pixel data, FF FF is padding, and TEM (01), the restart markers
# (D0-D7) and start-of-image (D8) have no length: the search skips all of them.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
_JPEG_SCAN = 0xDA
# Start-of-frame markers; C4, C8 and CC mean something else.
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_COEFFICIENTS = set(range(64))  # of a block of 8 x 8 pixels
# Bits without a marker that begin with different codes, none of which ends a block everywhere.
_NOISE = tuple(bytes([byte]) * 64 for byte in (0x55, 0xAA, 0xDB))
_LOST = bytes(16)  # by zeros the end of a file is often replaced

PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"

TIFF_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_TIFF_TYPES = {1: "B", 3: "H", 4: "I"}  # the unsigned types of a number that a field holds itself


def pixel_size(data: bytes) -> tuple[int, int] | None:
    """Width and height, before an EXIF orientation is applied, as a decoder will find them.

    None where the header does not tell; such a file is not decoded.
    """
    try:
        if data.startswith(JPEG_START):
            return _jpeg_size(data)
        if data.startswith(PNG_START):
            width, height = struct.unpack_from(">II", data, 16)
            return width, height
        if data[:4] in TIFF_ORDERS:
            return _tiff_size(data)
        if data.startswith(b"BM"):
            is_old = struct.unpack_from("<I", data, 14) == (12,)
            width, height = struct.unpack_from("<HH" if is_old else "<ii", data, 18)
            return abs(width), abs(height)  # rows from the top down have a negative height
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp_size(data)
    except struct.error:  # the file ends too early
        return None
    return _size_by_pillow(data)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    for marker, place in _jpeg_segments(data):
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, place + 3)
            return width, height
    return None


def _tiff_size(data: bytes) -> tuple[int, int] | None:
    """The largest size that the first image's fields give: a damaged file may hold several."""
    order = TIFF_ORDERS[data[:4]]
    sizes: dict[int, list[int]] = {_TIFF_WIDTH: [], _TIFF_HEIGHT: []}
    for tag, kind, place in tiff_fields(data):
        if tag in sizes:
            if kind not in _TIFF_TYPES:
                return None
            sizes[tag] += struct.unpack_from(order + _TIFF_TYPES[kind], data, place)
    widths, heights = sizes.values()
    return (max(widths), max(heights)) if widths and heights else None


def tiff_fields(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield tag, type and place of the value of each field of a TIFF file's first image."""
    order = TIFF_ORDERS[data[:4]]
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        for field in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, _, _ = struct.unpack_from(order + "HHII", data, field)
            yield tag, kind, field + 8
    except struct.error:  # truncated or damaged, which OpenCV reports
        return


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """The size in the first chunk, of one of WebP's three kinds."""
    kind = data[12:16]
    if kind == b"VP8X":  # one less than the size
        width, height = (int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return 1 + width, 1 + height
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None


def _size_by_pillow(data: bytes) -> tuple[int, int] | None:
    """The size of a file in a format that is rarely used."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except Exception:  # Pillow raises many kinds of errors for damaged and for very large files
        return None


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the marker of each segment, and the place of its length, up to the end marker.

    Segment by segment: a thumbnail in the header has markers of its own.
    """
    position = 2
    while (match := _JPEG_MARKER.search(data, position)) is not None:
        place = match.end()
        yield data[place - 1], place
        if match.group() == _JPEG_END:
            return
        position = place + int.from_bytes(data[place : place + 2], "big")


def missing_end(data: bytes) -> str | None:
    """What is missing at the end of a file in a known format; None if nothing is."""
    if data.startswith(JPEG_START) and not _has_jpeg_end(data):
        return "a JPEG file without its end-of-image marker"
    if data.startswith(PNG_START) and not _has_png_end(data):
        return "a PNG file without its IEND chunk"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        announced = 8 + int.from_bytes(data[4:8], "little")
        if len(data) < announced:
            return f"{len(data)} of the {announced} bytes that its WebP header announces"
    return None


def _has_jpeg_end(data: bytes) -> bool:
    # A file that ends after its thumbnail cannot be decoded at all.
    return data.endswith(_JPEG_END) or any(
        marker == _JPEG_END[1] for marker, _ in _jpeg_segments(data)
    )


def _has_png_end(data: bytes) -> bool:
    return any(kind == b"IEND" for kind, _, _ in _png_chunks(data))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind, the start and the end of the content of each whole chunk."""
    position = len(PNG_START)
    while position + 12 <= len(data):  # length (4 bytes), type (4), content, checksum (4)
        end = position + 8 + int.from_bytes(data[position : position + 4], "big")
        if end + 4 <= len(data):
            yield data[position + 4 : position + 8], position + 8, end
        position = end + 4


def with_end(data: bytes) -> bytes | None:
    """A file whose end is missing, with an end; None if pixels are missing, too."""
    if data.startswith(PNG_START) and _has_png_pixels(data):
        pixels = [end for kind, _, end in _png_chunks(data) if kind == b"IDAT"]
        return data[: pixels[-1] + 4] + _PNG_END
    if data.startswith(JPEG_START) and _has_all_scans(data):
        stem = data.rstrip(b"\0") if data.endswith(_LOST) else data
        stem = stem.removesuffix(b"\xff")
        # A decoder fills what it misses with zeros, so that noise there makes a difference.
        images = {_pixels(stem + noise + _JPEG_END) for noise in (b"", *_NOISE)}
        return stem + _JPEG_END if len(images) == 1 and None not in images else None
    return None


def _pixels(data: bytes) -> bytes | None:
    """The pixels of an image, by a decoder that does not print what it finds wrong."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.tobytes()
    except Exception:  # Pillow raises many kinds of errors for damaged and for very large files
        return None


def _has_png_pixels(data: bytes) -> bool:
    """Whether the compressed pixels go on to their end, without keeping them."""
    decoder = zlib.decompressobj()
    try:
        for kind, start, end in _png_chunks(data):
            unread = data[start:end] if kind == b"IDAT" else b""
            while unread and not decoder.eof:
                decoder.decompress(unread, 1 << 20)
                unread = decoder.unconsumed_tail
    except zlib.error:
        return False
    return decoder.eof


def _has_all_scans(data: bytes) -> bool:
    """Whether the scans of a JPEG file begin to give every coefficient to its last bit.

    A progressive file that ends between two scans is whole for a decoder, but blurred.
    """
    sent: dict[int, set[int]] = {}
    components = 0
    try:
        for marker, place in _jpeg_segments(data):
            if marker in _JPEG_FRAMES:
                components = data[place + 7]
            elif marker == _JPEG_SCAN:
                number = data[place + 2]
                first, last, bits = data[place + 3 + 2 * number : place + 6 + 2 * number]
                if bits & 15 == 0:
                    for component in data[place + 3 : place + 3 + 2 * number : 2]:
                        sent.setdefault(component, set()).update(range(first, last + 1))
    except (IndexError, ValueError):  # the file ends in a header
        return False
    return components > 0 and sum(_COEFFICIENTS <= found for found in sent.values()) == components
