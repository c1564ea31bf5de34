"""Crop and resize: windows of images, each resampled into a window of a canvas of its own.

Law et al., "CornerNet-Lite: Efficient Keypoint Based Object Detection", BMVC 2020, section 3:
CornerNet-Saccade looks at the whole image in small first, then at crops around the objects that it
suspects there. All crops of a pass are one call.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .checks import (
    NORMALISED,
    PIXELS,
    check_at_least,
    check_one_of,
    check_range,
    check_tensors,
)
from .registration import register


def crop_resize(
    images: Tensor,
    sources: Tensor,
    targets: Tensor,
    *,
    height: int,
    width: int,
    image_index: Tensor | None = None,
    mean: Tensor | None = None,
    std: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Bilinear crops of images on black canvases of one size (CornerNet-Lite, section 3).

    The pixels of a source window are resampled to the size of its target window, which lies
    anywhere on the canvas; everything outside it is 0. Pixel i of a target window of length t, from
    a source window of length s, stands at max(0, (i + 0.5) * s / t - 0.5) of the source window, as
    in torch.nn.functional.interpolate(mode="bilinear", align_corners=False) without antialiasing.
    It is the mean of its four neighbours, weighted by their distances; a neighbour beyond the
    window, or beyond the image, counts as the nearest one within. What lies outside the canvas is
    left out, and a window of no extent, or of a negative one, draws nothing.

    With `mean` and `std` the canvas is normalised to (canvas - mean) / std, black included.
    Computed in float32. Deterministic. Not differentiable: the result needs no gradient. Autocast
    leaves the dtypes alone.

    Args:
        images: [N, C, H, W], uint8, float16, bfloat16 or float32; any strides, read in place.
        sources: [R, 4] int64: x0, y0, x1, y1 in pixels of the image, x1 and y1 not included.
        targets: [R, 4] int64: the same in pixels of the canvas.
        height, width: of the canvases in pixels.
        image_index: [R] int64: the image of each crop, 0..N-1. None where there is one image.
        mean, std: [C] float32, subtracted and divided by. None stands for 0 and for 1.
        dtype: of the result: float16, bfloat16 or float32, which None stands for.

    Returns:
        [R, C, height, width], contiguous.

    Raises:
        ValueError: shapes or devices that do not go together, a size below 1, an image index out of
            range, no image index where there is not exactly one image. The kernels for
            accelerators do not wait to see indices: one out of range fails an assertion on a CUDA
            device, and its crop is black on SDAA.
        TypeError: images or a result of another dtype, windows or indices that are not int64, mean
            or std that are not float32.
    """
    sizes = {"height": height, "width": width}
    options = {"image_index": image_index, "mean": mean, "std": std, "dtype": dtype}
    return _op(images, sources, targets, **sizes, **options)


def _check(a: Any) -> None:
    op = "crop_resize"
    check_tensors(
        op,
        images=(a.images, "1 C H W" if a.image_index is None else "N C H W", PIXELS),
        sources=(a.sources, "R 4", torch.int64),
        targets=(a.targets, "R 4", torch.int64),
        image_index=(a.image_index, "R", torch.int64),
        mean=(a.mean, "C", torch.float32),
        std=(a.std, "C", torch.float32),
    )
    check_at_least(op, "height", a.height, 1)
    check_at_least(op, "width", a.width, 1)
    if a.dtype is not None:
        check_one_of(op, "dtype", a.dtype, NORMALISED)


def _fake(a: Any) -> Tensor:
    shape = (a.sources.shape[0], a.images.shape[1], a.height, a.width)
    return a.images.new_empty(shape, dtype=a.dtype or torch.float32)


def _axis(
    source: Tensor, target: Tensor, length: int, limit: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Where the pixels of a row, or of a column, of each canvas come from.

    Args:
        source: [R, 2], the first pixel of the window and the one after the last.
        target: [R, 2], the same on the canvas.
        length: of the row, in pixels.
        limit: the length of the images' rows.

    Returns:
        All [R, length]: whether a pixel lies in the target window, the neighbours below and above
        its place, and the weight of the one above.
    """
    (begin, end), (target_begin, target_end) = source.T[:, :, None], target.T[:, :, None]
    extent, target_extent = end - begin, target_end - target_begin
    pixel = torch.arange(length, device=source.device) - target_begin
    inside = (pixel >= 0) & (pixel < target_extent) & (extent > 0)
    scale = extent.float() / target_extent.clamp(min=1).float()
    place = ((pixel.float() + 0.5) * scale - 0.5).clamp(min=0)
    place = torch.where(inside, place, 0)
    low = place.long()
    weight = place - low
    last = (extent - 1).clamp(min=0)
    low, high = (torch.minimum(n, last).add(begin).clamp(0, limit - 1) for n in (low, low + 1))
    return inside, low, high, weight


# All crops at once, by indexing: no window's size has to come to the host.
def _reference(a: Any) -> Tensor:
    count, channels = a.sources.shape[0], a.images.shape[1]
    index = a.image_index
    if index is None:
        index = a.sources.new_zeros(count)
    check_range("crop_resize", "image_index", index, a.images.shape[0])
    canvas = a.images.new_zeros((count, a.height, a.width, channels), dtype=torch.float32)
    if a.images.numel() > 0 and count > 0:
        # [R, height, 1, 1] and [R, 1, width, 1].
        y = _axis(a.sources[:, 1::2], a.targets[:, 1::2], a.height, a.images.shape[2])
        x = _axis(a.sources[:, 0::2], a.targets[:, 0::2], a.width, a.images.shape[3])
        y_inside, top, bottom, y_weight = (one[:, :, None, None] for one in y)
        x_inside, left, right, x_weight = (one[:, None, :, None] for one in x)
        pixels = a.images.permute(0, 2, 3, 1)
        image = index[:, None, None]

        def row(line: Tensor) -> Tensor:
            ends = (pixels[image, line[..., 0], n[..., 0]].float() for n in (left, right))
            first, second = ends
            return first * (1 - x_weight) + second * x_weight

        value = row(top) * (1 - y_weight) + row(bottom) * y_weight
        canvas = torch.where(y_inside & x_inside, value, canvas)
    if a.mean is not None:
        canvas = canvas - a.mean
    if a.std is not None:
        canvas = canvas / a.std
    return _fake(a).copy_(canvas.permute(0, 3, 1, 2))


_op, crop_resize_reference = register(
    crop_resize,
    "crop_resize(Tensor images, Tensor sources, Tensor targets, *, int height, int width, "
    "Tensor? image_index=None, Tensor? mean=None, Tensor? std=None, ScalarType? dtype=None) "
    "-> Tensor",
    check=_check,
    reference=_reference,
    fake=_fake,
)
