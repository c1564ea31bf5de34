"""The maps of centres: what the head computes and what it should compute.

N images in a batch, K classes, h × w heat-map cells.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from cornernet.runtime.serialization import exportable


@exportable
class CenterMaps(NamedTuple):
    """The maps of one stack.

    Attributes:
        heat: `[N, K, h, w]` logits of centres.
        offset: `[N, 2, h, w]`: x, y in cells.
    """

    heat: Tensor
    offset: Tensor


@exportable
class CenterTargets(NamedTuple):
    """What a perfect head would put out for a batch.

    Attributes:
        heat: `[N, K, h, w]` float32: 1 at a centre, a Gaussian around it, else 0.
        offset: `[N, 2, h, w]` float32: x, y lost by rounding down to a cell, cells.
        mask: `[N, 1, h, w]` float32: 1 where a centre of any class lies.
        image_index: `[M]` int64: the image, 0..N-1, of each object.
        cell: `[M]` int64: y * w + x of each object's centre.
        fraction: `[M, 2]` float32: x, y lost by rounding down to a cell, cells.
        ignored: `[N, K, h, w]` bool: cells of which nobody knows whether a centre lies there;
            None where there are none.
        silenced: `[N, K, h, w]` bool: cells around centres of difficult objects, which do not count
            even where another object's centre lies; None where there are none.
    """

    heat: Tensor
    offset: Tensor
    mask: Tensor
    image_index: Tensor
    cell: Tensor
    fraction: Tensor
    ignored: Tensor | None = None
    silenced: Tensor | None = None
