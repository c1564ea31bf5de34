"""The maps of corners: what the head computes and what it should compute.

N images in a batch, K classes, E embedding channels, h × w heat-map cells, M objects of a batch.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from cornernet.runtime.serialization import exportable


@exportable
class Targets(NamedTuple):
    """What a perfect network would put out for a batch (section 3.2 of the paper).

    Attributes:
        tl_heat, br_heat: `[N, K, h, w]` float32: 1 at a corner, a Gaussian around it, else 0.
        tl_offset, br_offset: `[N, 2, h, w]` float32: x, y lost by rounding down to a cell, cells.
        tl_mask, br_mask: `[N, 1, h, w]` float32: 1 where a corner of any class lies.
        image_index: `[M]` int64: the image, 0..N-1, of each object.
        tl_cell, br_cell: `[M]` int64: y * w + x of each object's corners.
        tl_fraction, br_fraction: `[M, 2]` float32: what x, y of each object's corners lose by
            rounding down to a cell, cells.
        objects: how many objects each image has; known on the host, so that no loss waits for the
            device to say it.
        ignored: `[N, K, h, w]` bool: cells of which nobody knows whether a corner lies there;
            None where there are none.
        tl_silenced, br_silenced: `[N, K, h, w]` bool: cells around corners of difficult objects,
            which do not count even where another object's corner lies; None where there are none.
    """

    tl_heat: Tensor
    br_heat: Tensor
    tl_offset: Tensor
    br_offset: Tensor
    tl_mask: Tensor
    br_mask: Tensor
    image_index: Tensor
    tl_cell: Tensor
    br_cell: Tensor
    tl_fraction: Tensor
    br_fraction: Tensor
    objects: tuple[int, ...]
    ignored: Tensor | None = None
    tl_silenced: Tensor | None = None
    br_silenced: Tensor | None = None


@exportable
class Outputs(NamedTuple):
    """The maps of one stack.

    Attributes:
        tl_heat, br_heat: `[N, K, h, w]` logits of corners.
        tl_embedding, br_embedding: `[N, E, h, w]`.
        tl_offset, br_offset: `[N, 2, h, w]`: x, y in cells.
    """

    tl_heat: Tensor
    br_heat: Tensor
    tl_embedding: Tensor
    br_embedding: Tensor
    tl_offset: Tensor
    br_offset: Tensor
