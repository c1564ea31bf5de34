"""From the network's maps to boxes in its input's pixels (paper, sections 3.1 and 4.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from cornernet.config import TestConfig
from cornernet.parts.corners.structures import Outputs
from cornernet.structures import Candidates
from cornernet_ops import corner_decode, corner_peaks


@torch.no_grad()
def decode(outputs: Outputs, config: TestConfig, image_size: tuple[int, int]) -> Candidates:
    """Peaks of both heat-maps, paired by class, position and embedding.

    Args:
        outputs: maps of the last stack.
        config: how many corners and pairs, and how near their embeddings must be.
        image_size: height and width of the network's input in pixels.

    Returns:
        `config.max_pairs` candidates of each image, the highest score first, in pixels of the
        network's input.
    """
    height, width = outputs.tl_heat.shape[-2:]
    # The sigmoid is monotonic: it is applied to the few peaks, not to all cells. The mean of
    # logarithms is the logarithm of the geometric mean, so one op serves both scores.
    geometric = config.pair_score == "geometric"
    probability = F.logsigmoid if geometric else torch.sigmoid
    tl_scores, tl_cells = corner_peaks(outputs.tl_heat, config.topk, config.peak_kernel)
    br_scores, br_cells = corner_peaks(outputs.br_heat, config.topk, config.peak_kernel)
    boxes, scores, labels = corner_decode(
        probability(tl_scores.float()),
        tl_cells,
        probability(br_scores.float()),
        br_cells,
        outputs.tl_embedding.float(),
        outputs.br_embedding.float(),
        outputs.tl_offset.float(),
        outputs.br_offset.float(),
        distance_threshold=config.distance_threshold,
        max_pairs=config.max_pairs,
        skip_border=config.skip_border,
    )
    if geometric:
        scores = torch.where(labels < 0, scores, scores.exp())
    # Numbers and not a tensor of them, which torch.export would keep as they are now.
    scale_x, scale_y = image_size[1] / width, image_size[0] / height
    x1, y1, x2, y2 = boxes.unbind(2)
    boxes = torch.stack([x1 * scale_x, y1 * scale_y, x2 * scale_x, y2 * scale_y], 2)
    return Candidates(boxes, scores, labels)
