"""The maps of centres: what the head computes and what it should compute.

N images in a batch, K classes, h × w heat-map cells.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class CenterMaps(NamedTuple):
    """The maps of one stack.

    Attributes:
        heat: `[N, K, h, w]` logits of centres.
        offset: `[N, 2, h, w]`: x, y in cells.
    """

    heat: Tensor
    offset: Tensor


class CenterTargets(NamedTuple):
    """What a perfect head would put out for a batch.

    Attributes:
        heat: `[N, K, h, w]` float32: 1 at a centre, a Gaussian around it, else 0.
        offset: `[N, 2, h, w]` float32: x, y lost by rounding down to a cell, cells.
        mask: `[N, 1, h, w]` float32: 1 where a centre of any class lies.
        ignored: `[N, K, h, w]` bool: cells of which nobody knows whether a centre lies there;
            None where there are none.
    """

    heat: Tensor
    offset: Tensor
    mask: Tensor
    ignored: Tensor | None
