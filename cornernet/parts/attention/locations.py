"""What attention maps say about where to look (CornerNet-Lite, section 3.1)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from cornernet.config import TestConfig
from cornernet.parts.attention.structures import AttentionMaps
from cornernet.structures import Locations


@torch.no_grad()
def find_locations(maps: AttentionMaps, config: TestConfig, stride: int) -> Locations:
    """The local maxima of all maps above `test.location_score`, map after map, row by row.

    The coarsest map, that of the largest objects, shows them as they should be seen. Each finer one
    asks to be enlarged twice as much as the one before.

    Args:
        maps: of the last stack.
        config: the window in which a place must be the maximum, and the least score.
        stride: pixels of the network's input per cell of the finest map.
    """
    scores, points, zooms = [], [], []
    for level, heat in enumerate(maps.heats):
        logits = heat.float()
        side = config.peak_kernel
        highest = F.max_pool2d(logits, side, stride=1, padding=side // 2)
        probability = logits.sigmoid()
        found = (logits == highest) & (probability > config.location_score)
        scores.append(probability.where(found, 0).flatten(1))
        cell = stride * 2 ** (len(maps.heats) - 1 - level)
        points.append(np.indices(heat.shape[-2:]).reshape(2, -1).T * float(cell))
        zooms.append(np.full(len(points[-1]), 2.0**level))
    return Locations(torch.cat(scores, 1), np.concatenate(points), np.concatenate(zooms))
