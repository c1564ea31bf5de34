"""Boxes in the coordinates of Pascal VOC and YOLO, and back, without a rounding in between.

Text is computed with as decimals. So a box that is written in either format is read again as the
same floating-point numbers: the number that was written, and not a neighbour of it, decides whether
an object of 32×32 pixels is small.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal, InvalidOperation

from cornernet.data.fields import number

_EXACT = Context(prec=60)
# Digits behind the point of a share of an image's side, and of a box that is read from shares: 7
# more are enough for sides below a million pixels.
_SHARE, _PIXELS = Decimal("1e-25"), Decimal("1e-18")


def box_from_voc(corners: Sequence[str]) -> list[float] | None:
    """`x y width height` of `xmin ymin xmax ymax`, which count pixels from 1 and include the last.

    None if they are not four finite numbers.
    """
    values = _decimals(corners)
    if values is None:
        return None
    xmin, ymin, xmax, ymax = values
    x, y = _EXACT.subtract(xmin, 1), _EXACT.subtract(ymin, 1)
    return [float(item) for item in (x, y, _EXACT.subtract(xmax, x), _EXACT.subtract(ymax, y))]


def box_to_voc(box: Sequence[float]) -> list[str]:
    """`xmin ymin xmax ymax` of `x y width height`; see `box_from_voc`."""
    x, y, width, height = map(_decimal, box)
    corners = _EXACT.add(x, 1), _EXACT.add(y, 1), _EXACT.add(x, width), _EXACT.add(y, height)
    return [_text(item) for item in corners]


def box_from_yolo(words: Sequence[str], size: tuple[int, int]) -> list[float] | None:
    """`x y width height` in pixels of `x y width height` in shares of an image's sides.

    Args:
        words: the centre and the size of the box.
        size: width and height of the image.

    Returns:
        The box by its top left corner; None if there are not four finite numbers.
    """
    values = _decimals(words)
    if values is None:
        return None
    box = []
    for centre, extent, side in zip(values[:2], values[2:], size, strict=True):
        start = _EXACT.subtract(centre, _EXACT.divide(extent, 2))
        box.append([_EXACT.multiply(item, side) for item in (start, extent)])
    (x, width), (y, height) = box
    try:
        return [float(item.quantize(_PIXELS, context=_EXACT)) for item in (x, y, width, height)]
    except InvalidOperation:  # too large for a box
        return None


def box_to_yolo(box: Sequence[float], size: tuple[int, int]) -> list[str]:
    """Centre and size in shares of an image's sides of `x y width height`; see `box_from_yolo`."""
    x, y, width, height = map(_decimal, box)
    shares = []
    for start, extent, side in ((x, width, size[0]), (y, height, size[1])):
        centre = _EXACT.add(start, _EXACT.divide(extent, 2))
        shares.append([_EXACT.divide(item, side) for item in (centre, extent)])
    (x, width), (y, height) = shares
    return [_text(item.quantize(_SHARE, context=_EXACT)) for item in (x, y, width, height)]


def _decimals(words: Sequence[str]) -> list[Decimal] | None:
    try:
        values = [Decimal(word.strip()) for word in words if number(word) is not None]
    except InvalidOperation:  # an exponent of more digits than a decimal has
        return None
    return values if len(values) == len(words) == 4 else None


def _decimal(value: float) -> Decimal:
    """The shortest decimal that is read as this number."""
    return Decimal(repr(float(value)))


def _text(value: Decimal) -> str:
    """Without an exponent and without zeros at the end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
