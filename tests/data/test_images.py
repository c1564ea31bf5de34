"""Picture files: what is read as what, and what is refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from cornernet.data.images import IMAGE_SUFFIXES, read_image, write_image
from cornernet.errors import UserError

LOSSLESS = (".bmp", ".png", ".tif", ".tiff")


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)


@pytest.fixture
def smooth() -> np.ndarray:
    """A picture that lossy formats keep well, different in every corner and channel."""
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
def test_lossy_formats_give_back_nearly_the_same_picture(
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


def test_palette_becomes_its_colours(tmp_path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", 2, 1, 8, 3, 0, 0, 0)  # 2 x 1 pixels, 8 bits, palette
    palette = bytes([250, 0, 1, 2, 240, 3])
    (tmp_path / "palette.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"PLTE", palette)
        + chunk(b"IDAT", zlib.compress(b"\0\x01\x00"))
        + chunk(b"IEND", b"")
    )
    assert read_image(tmp_path / "palette.png").tolist() == [[[2, 240, 3], [250, 0, 1]]]


def test_exif_rotation_is_ignored_unless_asked_for(tmp_path: Path, smooth: np.ndarray) -> None:
    write_image(tmp_path / "plain.jpg", smooth)
    turned = tmp_path / "turned.jpg"
    turned.write_bytes(with_exif((tmp_path / "plain.jpg").read_bytes(), orientation=6))
    plain = read_image(tmp_path / "plain.jpg")
    np.testing.assert_array_equal(read_image(turned), plain)
    # Orientation 6: to be turned by 90 degrees clockwise.
    np.testing.assert_array_equal(read_image(turned, apply_exif=True), np.rot90(plain, -1))


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
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
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UserError, match="truncated; copy or download it again"):
        read_image(path)


def test_the_end_of_a_thumbnail_is_not_taken_for_the_end_of_the_picture(
    tmp_path: Path, smooth: np.ndarray
) -> None:
    path = tmp_path / "camera.jpg"
    write_image(path, smooth)
    jpeg = with_exif(path.read_bytes(), orientation=1, thumbnail=b"\xff\xd8 thumbnail \xff\xd9")
    path.write_bytes(jpeg)
    assert read_image(path).shape == smooth.shape
    path.write_bytes(jpeg[:-40])
    with pytest.raises(UserError, match="truncated"):
        read_image(path)


def test_progressive_jpeg_with_restart_markers_is_whole(tmp_path: Path, smooth: np.ndarray) -> None:
    path = tmp_path / "progressive.jpg"
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 1]
    cv2.imwrite(str(path), smooth, options)
    assert read_image(path).shape == smooth.shape


def test_bytes_after_the_end_of_the_picture_do_no_harm(tmp_path: Path, smooth: np.ndarray) -> None:
    path = tmp_path / "tail.jpg"
    write_image(path, smooth)
    path.write_bytes(path.read_bytes() + b"appended by a camera")
    assert read_image(path).shape == smooth.shape


@pytest.mark.parametrize("content", [b"", b"this is a text, not a picture", b"\xff\xd8\xff\xd9"])
def test_what_is_no_picture_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"notes\.jpg: expected a picture .* found .*; the file"):
        read_image(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.jpg: .* no such file; check the path"):
        read_image(tmp_path / "nowhere.jpg")


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found a folder"):
        read_image(tmp_path)


def test_reading_a_damaged_file_prints_nothing(
    tmp_path: Path, rgb: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.tiff"
    write_image(path, rgb)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError):
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
    with pytest.raises(UserError, match=r"a\.png: .*No space left on device"):
        write_image(path, rgb)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_into_a_missing_folder_is_a_sentence(tmp_path: Path, rgb: np.ndarray) -> None:
    with pytest.raises(UserError, match="check that the folder exists"):
        write_image(tmp_path / "missing" / "a.png", rgb)


def test_writing_an_unknown_format_is_a_sentence(tmp_path: Path, rgb: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"ends in one of .*\.png.*found '\.xyz'"):
        write_image(tmp_path / "a.xyz", rgb)


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), "u1")],
)
def test_writing_something_else_than_rgb_names_shape_and_dtype(
    tmp_path: Path, array: np.ndarray
) -> None:
    with pytest.raises(ValueError, match=r"expected rgb to have shape \[H, W, 3\] and dtype uint8"):
        write_image(tmp_path / "a.png", array)
    assert not list(tmp_path.iterdir())
