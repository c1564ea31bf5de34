"""Settings for a dataset, from the sizes and numbers of its objects.

The rule, for a recipe to start from:

- `data.long_side`: the smallest size at which nine of ten objects measure four cells (the square
  root of their area), half of them measure twelve, and 98 of 100 can be told apart; not below the
  recipe's own, not above four times that, and not above the longer side that half of the images
  have: enlarging adds nothing to see.
- `augment.crop_size`: the recipe's share of `data.long_side`, or as much more as nine of ten
  objects need to be seen whole; at most `data.long_side`.
- `train.epochs`: those of the recipe, or as many as it takes to see 20,000 images, but not above
  300.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cornernet.config import Config
from cornernet.data.capacity import Capacity, capacity, scaled_boxes
from cornernet.data.parse import Record

_SMALL_CELLS, _MEDIAN_CELLS = 4, 12
_APART = 0.98
_LARGEST = 4  # times the recipe's long side
_CROP_MARGIN = 1.1
_IMAGES_SEEN = 20_000
_MAX_EPOCHS = 300
# Crops are this share of the long side where the recipe leaves images as they are.
_CROP_SHARE = 0.8


@dataclass(frozen=True)
class Proposal:
    """Settings for a dataset.

    Attributes:
        settings: values by dotted name.
        reasons: a line for each of them.
        capacity: how many objects can be told apart with them.
        work: what an epoch costs, as a multiple of what it costs with the recipe.
    """

    settings: dict[str, Any]
    reasons: list[str]
    capacity: Capacity
    work: float


def propose(
    records: Sequence[Record], config: Config, multiple: int, share: float = 1.0
) -> Proposal | None:
    """Settings for a dataset; None if it has no object.

    Args:
        records: the images to learn from, with their objects.
        config: the recipe to start from.
        multiple: sides of the network's input are best multiples of this number of pixels, or one
            less.
        share: of the images that is learnt.
    """
    # On a scale on which every image has a longer side of 1.
    boxes = scaled_boxes(records, multiple) / multiple
    if not len(boxes):
        return None
    sides = boxes[:, 2:] - boxes[:, :2]
    own = float(np.median([max(record.info.width, record.info.height) for record in records]))
    size = _long_side(records, np.sqrt(sides.prod(axis=1)), own, config, multiple)
    # A recipe that leaves images as they are does so where they are not too large.
    long_side = size if config.data.long_side or size < own else 0
    crop, extent = _crop_size(size, sides.max(axis=1), config, multiple)
    images = max(1, round(share * sum(len(record.boxes) > 0 for record in records)))
    epochs = _epochs(images, config)
    small, median = np.quantile(np.sqrt(sides.prod(axis=1)), [0.1, 0.5]) * size
    reasons = [
        f"data.long_side {long_side}: a tenth of the objects measure less than {small:.0f} px "
        f"then, half of them less than {median:.0f}",
        f"augment.crop_size {crop}: nine of ten objects reach over at most {extent:.0f} px",
        f"train.epochs {epochs}: {images} images with objects to learn from",
    ]
    settings: dict[str, Any] = {
        "data.long_side": long_side,
        "augment.crop_size": crop,
        "augment.crop_border": max(
            1, round(crop * config.augment.crop_border / config.augment.crop_size)
        ),
        "train.epochs": epochs,
    }
    if config.train.schedule == "step" and epochs != config.train.epochs:
        share = epochs / config.train.epochs
        settings["train.milestones"] = [round(item * share) for item in config.train.milestones]
    work = (crop / config.augment.crop_size) ** 2
    return Proposal(settings, reasons, capacity(records, config, long_side), work)


def _long_side(
    records: Sequence[Record], measures: np.ndarray, own: float, config: Config, multiple: int
) -> int:
    """The longer side, in pixels, of images whose own is `own` in the median."""
    stride = config.model.stem_stride
    usual = _in_multiples(config.augment.crop_size / _CROP_SHARE, multiple)
    least = config.data.long_side or usual
    small, median = np.quantile(measures, [0.1, 0.5])
    wanted = max(_SMALL_CELLS * stride / small, _MEDIAN_CELLS * stride / median, least)
    most = max(least, min(_LARGEST * least, own))
    size = least if wanted == least else _in_multiples(wanted, multiple)
    while size < most and _share_apart(records, config, size) < _APART:
        size += multiple
    return min(size, math.ceil(most))


def _share_apart(records: Sequence[Record], config: Config, long_side: int) -> float:
    found = capacity(records, config, long_side)
    return found.representable / (found.objects - found.beyond)


def _crop_size(
    long_side: int, extents: np.ndarray, config: Config, multiple: int
) -> tuple[int, float]:
    """The crop's side, and the extent in pixels that nine of ten objects do not exceed."""
    usual = config.augment.crop_size
    share = usual / config.data.long_side if config.data.long_side else _CROP_SHARE
    extent = float(np.quantile(extents, 0.9)) * long_side
    wanted = max(share * long_side, usual, min(_CROP_MARGIN * extent, long_side))
    missing = -usual % multiple  # the recipe's crop may be one less than a multiple
    return _in_multiples(wanted, multiple) - missing, extent


def _epochs(images: int, config: Config) -> int:
    own = config.train.epochs
    wanted = math.ceil(_IMAGES_SEEN / images / 5) * 5
    return max(own, min(wanted, _MAX_EPOCHS))


def _in_multiples(value: float, multiple: int) -> int:
    return math.ceil(value / multiple - 1e-9) * multiple
