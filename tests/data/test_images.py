"""Image files: what is read as what, and what is refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from cornernet.data.headers import pixel_size
from cornernet.data.images import (
    IMAGE_SUFFIXES,
    decode_image,
    limit_image_size,
    quiet_opencv,
    read_image,
    write_image,
)
from cornernet.errors import UserError
from tests.errors import raises

LOSSLESS = (".bmp", ".png", ".tif", ".tiff")


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)


@pytest.fixture
def smooth() -> np.ndarray:
    """An image that lossy formats keep well, different in every corner and channel."""
    y, x = np.mgrid[0:64, 0:96]
    return np.stack([x * 2, y * 3, 255 - x - y], axis=2).astype(np.uint8)


def with_exif(jpeg: bytes, orientation: int, thumbnail: bytes = b"") -> bytes:
    """Put an EXIF segment with an orientation, and bytes as of a thumbnail, into a JPEG file."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    content = b"Exif\0\0" + tiff + thumbnail
    segment = b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
    return jpeg[:2] + segment + jpeg[2:]


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_formats_give_back_every_pixel(
    tmp_path: Path, rgb: np.ndarray, suffix: str
) -> None:
    write_image(tmp_path / f"a{suffix}", rgb)
    image = read_image(tmp_path / f"a{suffix}")
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, rgb)


@pytest.mark.parametrize("suffix", sorted(set(IMAGE_SUFFIXES) - set(LOSSLESS)))
def test_lossy_formats_give_back_nearly_the_same_image(
    tmp_path: Path, smooth: np.ndarray, suffix: str
) -> None:
    write_image(tmp_path / f"a{suffix}", smooth)
    difference = read_image(tmp_path / f"a{suffix}").astype(int) - smooth
    assert np.abs(difference).mean() < 4  # of 255; swapped channels would differ by about 80


def test_channels_are_red_green_blue(tmp_path: Path) -> None:
    bgr = np.zeros((8, 8, 3), np.uint8)
    bgr[..., 2] = 200  # OpenCV writes blue, green, red
    cv2.imwrite(str(tmp_path / "red.png"), bgr)
    assert read_image(tmp_path / "red.png")[0, 0].tolist() == [200, 0, 0]


def test_grey_becomes_three_equal_channels(tmp_path: Path, rgb: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), rgb[..., 0])
    np.testing.assert_array_equal(
        read_image(tmp_path / "grey.png"), np.repeat(rgb[..., :1], 3, axis=2)
    )


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path, suffix: str, channels: int) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65406, 65407, 65535]], np.uint16)
    stored = values if channels == 1 else np.repeat(values[..., None], 3, axis=2)
    cv2.imwrite(str(tmp_path / f"deep{suffix}"), stored)
    image = read_image(tmp_path / f"deep{suffix}")
    assert image.dtype == np.uint8
    # Rounded value / 257: 128 is below half a step, 129 above it.
    assert image[0, :, 0].tolist() == [0, 0, 1, 1, 128, 254, 255, 255]


def test_transparency_is_dropped_and_the_stored_colours_stay(tmp_path: Path) -> None:
    bgra = np.zeros((6, 6, 4), np.uint8)
    bgra[...] = (10, 20, 30, 0)
    cv2.imwrite(str(tmp_path / "clear.png"), bgra)
    image = read_image(tmp_path / "clear.png")
    assert image.shape == (6, 6, 3)
    assert image[0, 0].tolist() == [30, 20, 10]


def png(header: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file of a header's content and chunks by kind."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    every = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in every)


def test_palette_becomes_its_colours(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 2, 1, 8, 3, 0, 0, 0)  # 2 x 1 pixels, 8 bits, palette
    palette = bytes([250, 0, 1, 2, 240, 3])
    pixels = zlib.compress(b"\0\x01\x00")
    (tmp_path / "palette.png").write_bytes(png(header, (b"PLTE", palette), (b"IDAT", pixels)))
    assert read_image(tmp_path / "palette.png").tolist() == [[[2, 240, 3], [250, 0, 1]]]


def oriented(rgb: np.ndarray, orientation: int) -> np.ndarray:
    """The image as it is meant to be seen, by EXIF's definition of the eight orientations."""
    steps = {1: [], 2: ["flip"], 3: ["half"], 4: ["half", "flip"], 5: ["right", "flip"],
             6: ["right"], 7: ["left", "flip"], 8: ["left"]}[orientation]  # fmt: skip
    turns = {"right": -1, "half": 2, "left": 1}
    for step in steps:
        rgb = rgb[:, ::-1] if step == "flip" else np.rot90(rgb, turns[step])
    return rgb


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_exif_orientations(tmp_path: Path, smooth: np.ndarray, orientation: int) -> None:
    path = tmp_path / "camera.jpg"
    write_image(path, smooth)
    plain = read_image(path)
    path.write_bytes(with_exif(path.read_bytes(), orientation))
    np.testing.assert_array_equal(read_image(path), plain)
    np.testing.assert_array_equal(read_image(path, apply_exif=True), oriented(plain, orientation))


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_images_of_one_pixel_and_of_one_line(
    tmp_path: Path, size: tuple[int, int], suffix: str
) -> None:
    write_image(tmp_path / f"thin{suffix}", np.full((*size, 3), 77, np.uint8))
    image = read_image(tmp_path / f"thin{suffix}")
    assert image.shape == (*size, 3)
    assert abs(image.astype(int) - 77).max() <= 2


def test_a_large_image_is_read_whole(tmp_path: Path) -> None:
    image = Image.new("P", (12000, 9000))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((11999, 8999), 1)
    image.save(tmp_path / "large.png", bits=1, compress_level=1)
    found = read_image(tmp_path / "large.png")
    assert found.shape == (9000, 12000, 3)
    assert found[0, 0].tolist() == [10, 20, 30] and found[-1, -1].tolist() == [40, 50, 60]


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_becomes_its_colours(tmp_path: Path, suffix: str) -> None:
    # Full yellow and magenta without cyan is red; inverted it would be cyan.
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / f"print{suffix}")
    image = read_image(tmp_path / f"print{suffix}").astype(int)
    assert abs(image - [255, 0, 0]).max() <= 3


def with_mode(smooth: np.ndarray, mode: str) -> Image.Image:
    """An image whose opacity, where it has one, is that of glass."""
    image = Image.fromarray(smooth).convert(mode.rstrip("A"))
    if mode.endswith("A"):
        image.putalpha(Image.fromarray(smooth[..., 0]))
    return image


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_opacity_does_not_touch_colours(
    tmp_path: Path, smooth: np.ndarray, mode: str, suffix: str
) -> None:
    options: dict[str, Any] = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    image = with_mode(smooth, mode)
    image.save(tmp_path / f"glass{suffix}", **options)
    colours = np.asarray(image.convert("RGBA"))[..., :3]
    np.testing.assert_array_equal(read_image(tmp_path / f"glass{suffix}"), colours)


def test_a_palette_with_transparency_gives_its_colours(tmp_path: Path, smooth: np.ndarray) -> None:
    image = Image.fromarray(smooth).quantize(16)
    image.save(tmp_path / "glass.png", transparency=3)
    np.testing.assert_array_equal(
        read_image(tmp_path / "glass.png"), np.asarray(image.convert("RGB"))
    )


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".gif"])
def test_the_first_image_of_several_is_read_or_the_file_refused(
    tmp_path: Path, smooth: np.ndarray, suffix: str
) -> None:
    first = Image.fromarray(smooth).quantize(32).convert("RGB")
    rest = [Image.fromarray(255 - smooth), Image.fromarray(smooth[:, ::-1].copy())]
    options: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
    path = tmp_path / f"film{suffix}"
    first.save(path, save_all=True, append_images=rest, **options)
    try:
        image = read_image(path)
    except UserError as error:  # older versions of OpenCV do not know GIF and moving WebP
        assert suffix in (".gif", ".webp") and path.name in str(error)
    else:
        np.testing.assert_array_equal(image, np.asarray(first))


def set_tag(path: Path, tag: int, value: int) -> None:
    """Set a tag of a TIFF file, little-endian, that has it already."""
    data = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, entry)[0] == tag:
            struct.pack_into("<H", data, entry + 8, value)
            path.write_bytes(data)
            return
    raise AssertionError(f"no tag {tag}")


PHOTOMETRIC = 262


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_tiff_in_which_white_is_zero(tmp_path: Path, dtype: type) -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    path = tmp_path / "scan.tif"
    cv2.imwrite(str(path), values.astype(dtype) * (257 if dtype is np.uint16 else 1))
    set_tag(path, PHOTOMETRIC, 0)
    np.testing.assert_array_equal(read_image(path)[..., 0], 255 - values)


def test_lab_is_refused_by_name(tmp_path: Path, smooth: np.ndarray) -> None:
    Image.fromarray(smooth).convert("LAB").save(tmp_path / "lab.tif")
    with raises("lab.tif:", "Lab"):
        read_image(tmp_path / "lab.tif")


@pytest.mark.parametrize("channels", [1, 3])
def test_floating_point_is_refused_by_name(tmp_path: Path, channels: int) -> None:
    values = np.zeros((8, 8, channels), np.float32)
    cv2.imwrite(str(tmp_path / "float.tif"), values)
    with raises("float.tif:"):
        read_image(tmp_path / "float.tif")


def test_a_header_that_promises_too_many_pixels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)))
    with raises("bomb.png:", "250 megapixels", "100000x100000", "runtime.max_megapixels"):
        read_image(path)


def forbid(*_: object) -> None:
    raise AssertionError("the image was decoded")


@pytest.mark.parametrize("suffix", [*IMAGE_SUFFIXES, ".jp2", ".ppm", ".gif"])
def test_no_large_image_is_decoded(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"large{suffix}"
    Image.new("RGB", (1100, 1000)).save(path, lossless=True) if suffix == ".webp" else Image.new(
        "RGB", (1100, 1000)
    ).save(path)
    assert read_image(path).shape == (1000, 1100, 3)
    monkeypatch.setattr("cornernet.data.images._most_pixels", 10**6)
    monkeypatch.setattr(cv2, "imdecode", forbid)
    with raises("at most 1 megapixels", "1100x1000", "runtime.max_megapixels"):
        read_image(path)


def test_the_largest_image_is_a_setting(
    tmp_path: Path, rgb: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cornernet.data.images._most_pixels", 10)
    write_image(tmp_path / "a.png", rgb)
    with raises("megapixels"):
        read_image(tmp_path / "a.png")
    limit_image_size(1)
    assert read_image(tmp_path / "a.png").shape == rgb.shape


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_larger_of_two_sizes_in_a_tiff_file_counts(order: str) -> None:
    start = b"II*\0" if order == "<" else b"MM\0*"
    fields = [(256, 4, 70000), (256, 3, 5), (257, 4, 90000)]
    content = struct.pack(order + "IH", 8, len(fields))
    for tag, kind, value in fields:
        number = struct.pack(order + ("I" if kind == 4 else "Hxx"), value)
        content += struct.pack(order + "HHI", tag, kind, 1) + number
    assert pixel_size(start + content) == (70000, 90000)


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("alpha", [True, False])
def test_size_of_each_kind_of_webp(tmp_path: Path, lossless: bool, alpha: bool) -> None:
    image = Image.new("RGBA" if alpha else "RGB", (301, 77), (9, 9, 9, 100)[: 3 + alpha])
    image.save(tmp_path / "a.webp", lossless=lossless)
    assert pixel_size((tmp_path / "a.webp").read_bytes()) == (301, 77)


def test_want_of_memory_is_a_sentence_with_the_name(
    tmp_path: Path, smooth: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = cv2.error("Failed to allocate 324000000 bytes")
    error.code, error.err = cv2.Error.StsNoMem, "Failed to allocate 324000000 bytes"

    def starve(*_: object) -> None:
        raise error

    write_image(tmp_path / "a.png", smooth)
    monkeypatch.setattr(cv2, "imdecode", starve)
    with raises("a.png:", "memory", "Failed to allocate"):
        read_image(tmp_path / "a.png")


def test_a_name_of_any_letters(tmp_path: Path, rgb: np.ndarray) -> None:
    path = tmp_path / "größe 图 ё.png"
    write_image(path, rgb)
    np.testing.assert_array_equal(read_image(path), rgb)


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
@pytest.mark.parametrize("share", [0.3, 0.9, 0.997])
def test_a_truncated_file_is_refused_by_name(
    tmp_path: Path, rgb: np.ndarray, suffix: str, share: float
) -> None:
    path = tmp_path / f"cut{suffix}"
    write_image(path, rgb)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=path.name):
        read_image(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_the_sentence_says_that_a_file_is_truncated(
    tmp_path: Path, rgb: np.ndarray, suffix: str
) -> None:
    path = tmp_path / f"cut{suffix}"
    write_image(path, rgb)
    path.write_bytes(path.read_bytes()[:-20])
    with raises("truncated"):
        read_image(path)


def without_end(path: Path) -> bytes:
    """A file without its end marker."""
    return path.read_bytes()[: -12 if path.suffix == ".png" else -2]


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "progressive.jpg"])
@pytest.mark.parametrize("tail", [b"", b"\xff", bytes(5000)])
def test_an_image_that_lacks_its_end_marker_alone_is_used_with_a_warning(
    tmp_path: Path, smooth: np.ndarray, name: str, tail: bytes
) -> None:
    path = tmp_path / name
    cv2.imwrite(str(path), smooth, [cv2.IMWRITE_JPEG_PROGRESSIVE, int("progressive" in name)])
    whole = read_image(path)
    path.write_bytes(without_end(path) + tail)
    said: list[str] = []
    np.testing.assert_array_equal(decode_image(path.read_bytes(), path, warn=said.append), whole)
    assert len(said) == 1 and str(path) in said[0]
    with pytest.warns(UserWarning, match="with all pixels"):
        read_image(path)
    with raises("truncated"):
        decode_image(path.read_bytes(), path, strict=True)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "progressive.jpg"])
def test_an_image_that_lacks_any_pixel_is_refused(
    tmp_path: Path, rgb: np.ndarray, name: str
) -> None:
    path = tmp_path / name
    cv2.imwrite(str(path), rgb, [cv2.IMWRITE_JPEG_PROGRESSIVE, int("progressive" in name)])
    data = without_end(path)
    for missing in (2, 3, 5, 9, 100, len(data) // 2, len(data) * 3 // 4):
        for tail in (b"", bytes(5000)):
            with raises("expected", "image"):
                decode_image(data[: len(data) - missing] + tail)


def test_the_end_of_a_thumbnail_is_not_taken_for_the_end_of_the_image(
    tmp_path: Path, smooth: np.ndarray
) -> None:
    path = tmp_path / "camera.jpg"
    write_image(path, smooth)
    jpeg = with_exif(path.read_bytes(), orientation=1, thumbnail=b"\xff\xd8 thumbnail \xff\xd9")
    path.write_bytes(jpeg)
    assert read_image(path).shape == smooth.shape
    path.write_bytes(jpeg[:-40])
    with raises("truncated"):
        read_image(path)


def test_progressive_jpeg_with_restart_markers_is_whole(tmp_path: Path, smooth: np.ndarray) -> None:
    path = tmp_path / "progressive.jpg"
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 1]
    cv2.imwrite(str(path), smooth, options)
    assert read_image(path).shape == smooth.shape


def test_bytes_after_the_end_of_the_image_do_no_harm(tmp_path: Path, smooth: np.ndarray) -> None:
    path = tmp_path / "tail.jpg"
    write_image(path, smooth)
    path.write_bytes(path.read_bytes() + b"appended by a camera")
    assert read_image(path).shape == smooth.shape


@pytest.mark.parametrize("content", [b"", b"this is a text, not an image", b"\xff\xd8\xff\xd9"])
def test_what_is_no_image_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.jpg"
    path.write_bytes(content)
    with raises("notes.jpg:", "image"):
        read_image(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with raises("nowhere.jpg:", "no such file"):
        read_image(tmp_path / "nowhere.jpg")


def test_a_directory_is_no_image(tmp_path: Path) -> None:
    with raises("directory"):
        read_image(tmp_path)


def test_reading_a_damaged_file_prints_nothing(
    tmp_path: Path, rgb: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.tiff"
    write_image(path, rgb)
    path.write_bytes(path.read_bytes()[:-100])
    with raises():
        read_image(path)
    assert capfd.readouterr() == ("", "")


def test_writing_replaces_a_file_and_leaves_nothing_else(tmp_path: Path, rgb: np.ndarray) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    write_image(path, rgb)
    np.testing.assert_array_equal(read_image(path), rgb)
    assert list(tmp_path.iterdir()) == [path]


def test_writing_that_fails_keeps_the_former_file(
    tmp_path: Path, rgb: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with raises("a.png:", "No space left on device"):
        write_image(path, rgb)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_into_a_missing_directory_is_a_sentence(tmp_path: Path, rgb: np.ndarray) -> None:
    with raises("directory"):
        write_image(tmp_path / "missing" / "a.png", rgb)


def test_writing_an_unknown_format_is_a_sentence(tmp_path: Path, rgb: np.ndarray) -> None:
    with raises(".png", "'.xyz'"):
        write_image(tmp_path / "a.xyz", rgb)


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), "u1")],
)
def test_writing_something_else_than_rgb_names_shape_and_dtype(
    tmp_path: Path, array: np.ndarray
) -> None:
    with pytest.raises(ValueError, match=r"rgb.*\[H, W, 3\].*uint8"):
        write_image(tmp_path / "a.png", array)
    assert not list(tmp_path.iterdir())


def test_the_content_of_a_file_is_decoded_like_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(path)
    np.testing.assert_array_equal(decode_image(path.read_bytes()), read_image(path))
    with pytest.raises(UserError, match=r"^image: expected a whole image"):
        decode_image(path.read_bytes()[:-20])


def test_opencv_speaks_again_when_the_last_thread_has_left() -> None:
    log = getattr(cv2.utils, "logging", cv2)  # as of OpenCV 5 and 4
    before = log.getLogLevel()
    assert before != 0
    with quiet_opencv:
        with quiet_opencv:
            assert log.getLogLevel() == 0
        assert log.getLogLevel() == 0
    assert log.getLogLevel() == before
