"""What may be given to `predict` as an image, and its pixels."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import torch
from torch import Tensor

from cornernet.data.download import download, is_url, public_name
from cornernet.data.images import decode_image, read_image
from cornernet.data.video import is_video
from cornernet.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

    ImageInput = str | os.PathLike[str] | bytes | BinaryIO | Image | np.ndarray | Tensor

KINDS = (
    "a file name, an https URL, an image file's bytes, a file opened in binary mode, a PIL image, "
    "a NumPy array [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], or a tensor [H, W] or [C, H, W]"
)
_CHANNELS = (1, 3, 4)  # grey, RGB, RGBA
# Resizing may go this far beyond 0..1: half a step of 8 bits.
_FLOAT_SLACK = 0.5 / 255


def read_input(image: ImageInput) -> np.ndarray:
    """The pixels of an image of any kind that `predict` takes.

    A file, its bytes and a PIL image are turned as their EXIF orientation says. Transparency is
    dropped, grey becomes RGB. Integers are 0..255, of the type uint16 0..65535; floating-point
    numbers are 0..1.

    Args:
        image: see `KINDS`; colours in the order RGB.

    Returns:
        `[H, W, 3]` uint8, RGB, contiguous and writable; the array that was given if it is one.

    Raises:
        UserError: the image cannot be read, or has another shape, type or range.
        TypeError: it is of a kind that is not an image.
    """
    if isinstance(image, str) and is_url(image):
        return decode_image(download(image), public_name(image), apply_exif=True)
    if isinstance(image, str | os.PathLike):
        if is_video(os.fspath(image)):
            raise UserError(f"{image}: expected an image, got a video; predict_video reads it")
        return read_image(image, apply_exif=True)
    if isinstance(image, bytes | bytearray | memoryview):
        return decode_image(bytes(image), apply_exif=True)
    if isinstance(image, np.ndarray):
        return _from_array(image)
    if isinstance(image, Tensor):
        return _from_tensor(image)
    from PIL.Image import Image

    if isinstance(image, Image):
        return _from_pil(image)
    if callable(getattr(image, "read", None)):
        return _from_file(image)
    why = "; cv2.imread returns None for a file that it cannot read" if image is None else ""
    raise TypeError(f"predict: expected {KINDS}; got {type(image).__name__}{why}")


def input_name(image: ImageInput) -> str | None:
    """The name of a file or URL that was given as an image, without a password; None without."""
    if isinstance(image, str | os.PathLike):
        return public_name(os.fspath(image))
    name = getattr(image, "filename", None) or getattr(image, "name", None)
    return name if isinstance(name, str) else None


def _from_file(file: BinaryIO) -> np.ndarray:
    data = file.read()
    if not isinstance(data, bytes):
        raise TypeError("predict: expected a file opened in binary mode ('rb'), got one of text")
    return decode_image(data, input_name(file) or "image", apply_exif=True)


def _from_pil(image: Image) -> np.ndarray:
    from PIL import ImageOps

    if image.mode in ("I", "F"):
        raise UserError(
            f"expected a PIL image of 8 or 16 bits, got one of mode {image.mode}, which does not "
            "say what is white; convert it, or give its file",
            field="image",
        )
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;16"):
            return _from_array(np.asarray(image))
        return _from_array(np.asarray(image.convert("RGB")))
    except (OSError, ValueError, SyntaxError) as error:  # read from its file only now
        raise UserError(
            f"{input_name(image) or 'image'}: expected a readable PIL image, got the error "
            f"'{error}'; check its file"
        ) from None


def _from_tensor(image: Tensor) -> np.ndarray:
    image = image.detach()
    if image.ndim == 3:
        if image.shape[0] not in _CHANNELS:
            raise _shape_error("a tensor [H, W] or [C, H, W] with 1, 3 or 4 channels", image.shape)
        image = image.permute(1, 2, 0)
    if image.dtype == torch.bfloat16:  # NumPy has no such type
        image = image.float()
    return _from_array(image.cpu().numpy(), "a tensor [H, W] or [C, H, W]")


def _from_array(
    image: np.ndarray, wanted: str = "an array [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]"
) -> np.ndarray:
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or image.shape[2] not in _CHANNELS or not image.size:
        raise _shape_error(wanted, image.shape)
    pixels = _to_uint8(image[:, :, :3])
    if pixels.shape[2] == 1:
        pixels = pixels.repeat(3, axis=2)
    return np.require(pixels, np.uint8, ["C", "W"])


def _shape_error(wanted: str, shape: tuple[int, ...]) -> UserError:
    advice = ""
    if len(shape) == 4:
        advice = "; for a batch give list(images)"
    elif len(shape) == 3 and "array" in wanted and shape[0] in _CHANNELS:
        advice = "; put the channels last with image.transpose(1, 2, 0)"
    elif len(shape) == 3 and shape[2] in _CHANNELS:
        advice = "; put the channels first with image.permute(2, 0, 1)"
    return UserError(f"must be {wanted}, got the shape {list(shape)}{advice}", field="image")


def _to_uint8(values: np.ndarray) -> np.ndarray:
    """Pixels of other types as uint8; a range that leaves open what is white is refused."""
    if values.dtype == np.uint8:
        return values
    kind = values.dtype.kind
    if kind not in "uif":
        raise UserError(
            f"must hold integers or floating-point numbers, got {values.dtype}", field="image"
        )
    low, high = values.min(), values.max()
    if kind == "f":
        if not (low >= -_FLOAT_SLACK and high <= 1 + _FLOAT_SLACK):  # NaN fails as well
            raise UserError(
                f"must be in 0..1 where it holds floating-point numbers, got {low:g}..{high:g}; "
                "undo a normalisation, and convert 0..255 to uint8",
                field="image",
            )
        return (values.clip(0, 1).astype(np.float32) * 255 + 0.5).astype(np.uint8)
    if values.dtype.itemsize == 2 and kind == "u":
        # 65535 = 255 * 257, as for files of 16 bits.
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if low < 0 or high > 255:
        raise UserError(
            f"must be in 0..255 where it holds {values.dtype}, got {low}..{high}; convert it to "
            "uint8",
            field="image",
        )
    return values.astype(np.uint8)
