"""What centres say about boxes that corners propose."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from cornernet.config import TestConfig
from cornernet.parts.centers.structures import CenterMaps
from cornernet.structures import Candidates


@torch.no_grad()
def rescore(
    maps: CenterMaps, found: Candidates, config: TestConfig, image_size: tuple[int, int]
) -> Candidates:
    """Join the score of each box with that of a centre in its middle.

    Two corners of different objects make a box in whose middle nothing is (CenterNet, section 1).
    The centre's score is the largest probability of the box's class within one cell of the middle.
    With `test.center_weight` w the box scores the mean of its corners' score, which counts twice,
    and of the centre's, which counts w times; or their geometric mean, as `test.pair_score` says.

    Args:
        maps: of the last stack.
        found: boxes in pixels of the network's input.
        config: how scores are joined.
        image_size: height and width of the network's input in pixels.
    """
    height, width = maps.heat.shape[-2:]
    nearby = F.max_pool2d(maps.heat.float(), 3, stride=1, padding=1)
    x = (found.boxes[..., 0] + found.boxes[..., 2]) / 2 * (width / image_size[1])
    y = (found.boxes[..., 1] + found.boxes[..., 3]) / 2 * (height / image_size[0])
    column, row = x.long().clamp(0, width - 1), y.long().clamp(0, height - 1)
    index = (found.labels.clamp_min(0) * height + row) * width + column
    logits = nearby.flatten(1).gather(1, index)
    weight = config.center_weight
    if config.pair_score == "geometric":
        corners = found.scores.clamp_min(torch.finfo(torch.float32).tiny).log()
        scores = ((2 * corners + weight * F.logsigmoid(logits)) / (2 + weight)).exp()
    else:
        scores = (2 * found.scores + weight * logits.sigmoid()) / (2 + weight)
    return found._replace(scores=torch.where(found.labels < 0, found.scores, scores))
