"""The maps of attention: what the head computes and what it should compute.

N images in a batch, J maps from the coarsest to the finest, each of another resolution.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from cornernet.runtime.serialization import exportable


@exportable
class AttentionMaps(NamedTuple):
    """The maps of one stack.

    Attributes:
        heats: J times `[N, 1, h, w]`: logits of an object's centre lying in a cell, of whatever
            class; large objects in the coarsest map, small ones in the finest.
    """

    heats: tuple[Tensor, ...]


@exportable
class AttentionTargets(NamedTuple):
    """What a perfect head would put out for a batch.

    Attributes:
        heats: J times `[N, 1, h, w]` float32: 1 where the centre of an object lies, else 0.
    """

    heats: tuple[Tensor, ...]
