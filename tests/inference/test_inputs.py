"""Images of every kind that `predict` takes become the same pixels."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cornernet.data.images import write_image
from cornernet.inference import inputs
from cornernet.inference.inputs import input_name, read_input
from tests.errors import raises

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_image(tmp_path / "a.png", RGB)
    return tmp_path / "a.png"


KINDS: dict[str, Callable[[Path], Any]] = {
    "path": lambda file: file,
    "text": str,
    "bytes": Path.read_bytes,
    "bytearray": lambda file: bytearray(file.read_bytes()),
    "memoryview": lambda file: memoryview(file.read_bytes()),
    "open file": lambda file: open(file, "rb"),
    "file in memory": lambda file: io.BytesIO(file.read_bytes()),
    "PIL": Image.open,
    "PIL with alpha": lambda file: Image.open(file).convert("RGBA"),
    "array": lambda _: RGB,
    "array of a Fortran": lambda _: np.asfortranarray(RGB),
    "array with alpha": lambda _: np.concatenate([RGB, RGB[..., :1]], 2),
    "array of floats": lambda _: RGB / 255,
    "array of half floats": lambda _: (RGB / 255).astype(np.float16),
    "array of 16 bits": lambda _: RGB.astype(np.uint16) * 257,
    "array of 16 bits, big end first": lambda _: (RGB.astype(np.uint16) * 257).astype(">u2"),
    "array of integers": lambda _: RGB.astype(np.int64),
    "tensor": lambda _: torch.from_numpy(RGB).permute(2, 0, 1),
    "tensor of floats": lambda _: torch.from_numpy(RGB).permute(2, 0, 1) / 255,
    "tensor with a gradient": lambda _: (
        torch.from_numpy(RGB).permute(2, 0, 1) / 255
    ).requires_grad_(),
    "tensor with alpha": lambda _: torch.from_numpy(np.concatenate([RGB, RGB], 2)[..., :4]).permute(
        2, 0, 1
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_give_the_same_pixels(kind: str, file: Path) -> None:
    pixels = read_input(KINDS[kind](file))
    np.testing.assert_array_equal(pixels, RGB)
    assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous and pixels.flags.writeable


def test_low_precision_is_taken() -> None:
    tensor = torch.from_numpy(RGB).permute(2, 0, 1).to(torch.bfloat16) / 255
    assert np.abs(read_input(tensor).astype(int) - RGB).max() <= 1


def test_an_array_is_not_copied_and_never_changed() -> None:
    assert np.shares_memory(read_input(RGB), RGB)
    frozen = RGB.copy()
    frozen.flags.writeable = False
    assert not np.shares_memory(read_input(frozen), frozen)


GREY = RGB[..., 0]


@pytest.mark.parametrize(
    "image",
    [
        GREY,
        GREY[:, :, None],
        torch.from_numpy(GREY.copy()),
        torch.from_numpy(GREY.copy())[None],
        Image.fromarray(GREY),
        Image.fromarray(GREY).convert("LA"),
        Image.fromarray(GREY.astype(np.uint16) * 257),
    ],
)
def test_grey_becomes_three_equal_channels(image: Any) -> None:
    np.testing.assert_array_equal(read_input(image), np.repeat(GREY[:, :, None], 3, 2))


def test_a_palette_becomes_its_colours() -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    assert read_input(image).tolist() == [[[10, 20, 30], [40, 50, 60]]]


@pytest.mark.parametrize("kind", ["path", "bytes", "PIL"])
def test_exif_turns_files_and_pil_images_alike(kind: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    turned = read_input(KINDS[kind](tmp_path / "a.png"))
    np.testing.assert_array_equal(turned, np.rot90(RGB, -1))


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((0, 4, 3), np.uint8), ["shape [0, 4, 3]"]),
        (np.zeros((4, 5, 2), np.uint8), ["shape [4, 5, 2]"]),
        (np.zeros((2, 4, 5, 3), np.uint8), ["list(images)"]),
        (np.zeros((3, 40, 50), np.uint8), ["transpose(1, 2, 0)"]),
        (np.zeros(7, np.uint8), ["shape [7]"]),
        (torch.zeros(6, 5, 3, dtype=torch.uint8), ["permute(2, 0, 1)"]),
        (torch.zeros(1, 3, 4, 5), ["list(images)"]),
        (np.full((4, 4), np.nan), ["0..1", "nan"]),
        (np.full((4, 4), 255.0), ["0..1", "255", "uint8"]),
        (torch.randn(3, 8, 8), ["0..1", "normalisation"]),
        (np.full((4, 4), -1), ["0..255", "-1"]),
        (np.full((4, 4), 256), ["0..255", "256"]),
        (np.zeros((4, 4), bool), ["bool"]),
        (np.zeros((4, 4), complex), ["complex128"]),
        (np.full((4, 4), "a"), ["<U1"]),
        (Image.new("F", (4, 4)), ["mode F"]),
        (Image.new("I", (4, 4)), ["mode I"]),
    ],
)
def test_arrays_of_another_shape_type_or_range_are_refused(image: Any, words: list[str]) -> None:
    with raises(*words, field="image"):
        read_input(image)


@pytest.mark.parametrize("image", [None, 7, ["a.jpg"], {"a": 1}, object()])
def test_other_objects_are_refused_with_what_is_taken(image: Any) -> None:
    name = type(image).__name__
    with pytest.raises(
        TypeError, match=f"expected a file name, an https URL.* got {name}"
    ) as caught:
        read_input(image)
    assert ("cv2.imread returns None" in str(caught.value)) == (image is None)


def test_a_file_of_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    file: Any = open(tmp_path / "a.txt")
    with file, pytest.raises(TypeError, match="binary mode"):
        read_input(file)


def test_a_broken_pil_image_is_named(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-60])
    with raises(str(file), "PIL image"):
        read_input(Image.open(file))


def test_a_video_is_referred_to_its_own_method(tmp_path: Path) -> None:
    with raises("a.MP4", "predict_video"):
        read_input(tmp_path / "a.MP4")


def test_bytes_that_are_no_image_are_refused() -> None:
    with raises("expected an image", "cannot be decoded"):
        read_input(b"no image")


def test_a_url_is_downloaded_and_decoded(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    asked = []

    def download(url: str) -> bytes:
        asked.append(url)
        return file.read_bytes()

    monkeypatch.setattr(inputs, "download", download)
    np.testing.assert_array_equal(read_input("HTTPS://host/a?b"), RGB)
    assert asked == ["HTTPS://host/a?b"]


def test_names_are_of_files_and_urls(file: Path) -> None:
    assert input_name(file) == input_name(str(file)) == str(file)
    with Image.open(file) as image, open(file, "rb") as opened:
        assert input_name(image) == input_name(opened) == str(file)
    assert input_name("https://me:secret@host/a.jpg?b=1") == "https://host/a.jpg?b=1"
    assert input_name(RGB) is input_name(b"") is input_name(torch.zeros(1)) is None
    assert input_name(Image.fromarray(RGB)) is None
