"""Corner decoding: pairs top-left with bottom-right corners into boxes.

Law & Deng, "CornerNet: Detecting Objects as Paired Keypoints", ECCV 2018, section 4.2: corners of
one class whose embeddings lie close together are the corners of one object (associative embedding,
section 3.3); the score of the box is the mean of its corners' scores.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .checks import FLOATING, check_at_least, check_tensors, computation_dtype
from .registration import register


def corner_decode(
    tl_scores: Tensor,
    tl_indices: Tensor,
    br_scores: Tensor,
    br_indices: Tensor,
    tl_embedding: Tensor,
    br_embedding: Tensor,
    tl_offset: Tensor,
    br_offset: Tensor,
    *,
    distance_threshold: float,
    max_pairs: int,
    skip_border: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """The best pairs of a top-left and a bottom-right corner (CornerNet, section 4.2).

    A corner stands at its cell plus the offset predicted there. Two corners make a box if they are
    of the same class, the second lies right of and below the first (x2 > x1 and y2 > y1), and the
    Euclidean distance of their embeddings is at most `distance_threshold`. The box scores the mean
    of the two scores. Whatever is NaN, and a mean of -inf, makes no box. Boxes are ordered by
    score, the highest first; equal scores by the rank of the top-left, then of the bottom-right
    corner. Deterministic. Not differentiable: the results need no gradient.

    Computed in float32, or in float64 if any floating argument is float64. Under autocast,
    arguments of lower precision are cast to float32.

    Args:
        tl_scores: [N, K], floating: scores of the top-left corners, as `corner_peaks` returns them.
        tl_indices: [N, K], int64: class * H * W + y * W + x; a negative index is no corner.
        br_scores, br_indices: [N, L], the same for the bottom-right corners.
        tl_embedding, br_embedding: [N, E, H, W], floating.
        tl_offset, br_offset: [N, 2, H, W], floating: x and y, in cells.
        distance_threshold: the largest distance of embeddings in a pair, at least 0.
        max_pairs: M, how many boxes to return for each image, at least 1.
        skip_border: whether top-left corners in the first row or column of cells, and bottom-right
            corners in the last, make no boxes: they are often those of objects that a crop of the
            image has cut (CornerNet-Saccade).

    Returns:
        boxes: [N, M, 4], x1, y1, x2, y2 in cells of the heat-map. 0 where there are fewer than M.
        scores: [N, M], the dtype of the computation like the boxes. -1 where there are fewer.
        labels: [N, M], int64, the class. -1 where there are fewer.

    Raises:
        ValueError: shapes or devices that do not go together, distance_threshold < 0 or NaN,
            max_pairs < 1.
        TypeError: indices that are not int64, another argument that is not floating.
    """
    corners = (tl_scores, tl_indices, br_scores, br_indices)
    maps = (tl_embedding, br_embedding, tl_offset, br_offset)
    limits = {"distance_threshold": distance_threshold, "max_pairs": max_pairs}
    return _op(*corners, *maps, **limits, skip_border=skip_border)


def _check(a: Any) -> None:
    op = "corner_decode"
    check_tensors(
        op,
        tl_embedding=(a.tl_embedding, "N E H W", FLOATING),
        br_embedding=(a.br_embedding, "N E H W", FLOATING),
        tl_offset=(a.tl_offset, "N 2 H W", FLOATING),
        br_offset=(a.br_offset, "N 2 H W", FLOATING),
        tl_scores=(a.tl_scores, "N K", FLOATING),
        tl_indices=(a.tl_indices, "N K", torch.int64),
        br_scores=(a.br_scores, "N L", FLOATING),
        br_indices=(a.br_indices, "N L", torch.int64),
    )
    check_at_least(op, "distance_threshold", a.distance_threshold, 0)
    check_at_least(op, "max_pairs", a.max_pairs, 1)


def _fake(a: Any) -> tuple[Tensor, Tensor, Tensor]:
    dtype = computation_dtype(*a[:8])
    shape = (a.tl_embedding.shape[0], a.max_pairs)
    return (
        a.tl_scores.new_empty((*shape, 4), dtype=dtype),
        a.tl_scores.new_empty(shape, dtype=dtype),
        a.tl_indices.new_empty(shape),
    )


def _corners(
    indices: Tensor, embedding: Tensor, offset: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Label [N, K] (negative: no corner), x and y [N, K], embedding [N, E, K] of every corner."""
    h, w = embedding.shape[-2:]
    label = indices.div(h * w, rounding_mode="floor")
    cell = indices.clamp(min=0) % (h * w)

    def at_cells(map: Tensor) -> Tensor:  # [N, D, H, W] -> [N, D, K]
        return map.flatten(2).gather(2, cell[:, None].expand(-1, map.shape[1], -1)).to(dtype)

    dx, dy = at_cells(offset).unbind(1)
    x = (cell % w).to(dtype) + dx
    y = cell.div(w, rounding_mode="floor").to(dtype) + dy
    return label, x, y, at_cells(embedding)


def _without_border(indices: Tensor, row: int, column: int, height: int, width: int) -> Tensor:
    """The indices, with -1 for those of a row and of a column of cells."""
    cell = indices % (height * width)
    on_border = (cell.div(width, rounding_mode="floor") == row) | (cell % width == column)
    return indices.where(~on_border, -1)


# All K x L pairs at once, as broadcasting has it: fine for the hundred corners of CornerNet. The
# squares of the embeddings' differences are added channel by channel, because torch.sum chooses an
# order of its own and a pair on the threshold would depend on it. With one channel the root of the
# rounded square is exactly the absolute difference.
def _reference(a: Any) -> tuple[Tensor, Tensor, Tensor]:
    boxes, scores, labels = results = _fake(a)
    for result, nothing in zip(results, (0, -1, -1), strict=True):
        result.fill_(nothing)
    if a.tl_scores.numel() * a.br_scores.numel() * a.tl_offset.numel() == 0:
        return boxes, scores, labels
    dtype = scores.dtype

    tl_indices, br_indices = a.tl_indices, a.br_indices
    if a.skip_border:
        height, width = a.tl_offset.shape[2:]
        tl_indices = _without_border(tl_indices, 0, 0, height, width)
        br_indices = _without_border(br_indices, height - 1, width - 1, height, width)
    tl_label, x1, y1, tl_tag = _corners(tl_indices, a.tl_embedding, a.tl_offset, dtype)
    br_label, x2, y2, br_tag = _corners(br_indices, a.br_embedding, a.br_offset, dtype)

    # [N, K, 1] against [N, 1, L]
    score = (a.tl_scores.to(dtype)[:, :, None] + a.br_scores.to(dtype)[:, None, :]) / 2
    distance = torch.zeros_like(score)
    for channel in range(a.tl_embedding.shape[1]):
        difference = tl_tag[:, channel, :, None] - br_tag[:, channel, None, :]
        distance += difference * difference
    valid = (
        (tl_label[:, :, None] == br_label[:, None, :])
        & (tl_label[:, :, None] >= 0)
        & (x2[:, None, :] > x1[:, :, None])
        & (y2[:, None, :] > y1[:, :, None])
        & (distance.sqrt() <= a.distance_threshold)
        & (score > -torch.inf)
    )

    # Pairs lie top-left major, so a stable sort keeps equal scores in the order that was promised.
    score = score.where(valid, -torch.inf).flatten(1)
    order = (score + 0.0).sort(dim=1, descending=True, stable=True).indices[:, : a.max_pairs]
    tl = order.div(a.br_scores.shape[1], rounding_mode="floor")
    br = order % a.br_scores.shape[1]
    score = score.gather(1, order)
    found = score > -torch.inf
    corners = [x1.gather(1, tl), y1.gather(1, tl), x2.gather(1, br), y2.gather(1, br)]
    count = order.shape[1]
    boxes[:, :count] = torch.stack(corners, dim=2).where(found[:, :, None], 0)
    scores[:, :count] = score.where(found, -1)
    labels[:, :count] = tl_label.gather(1, tl).where(found, -1)
    return boxes, scores, labels


_op, corner_decode_reference = register(
    corner_decode,
    "corner_decode(Tensor tl_scores, Tensor tl_indices, Tensor br_scores, Tensor br_indices, "
    "Tensor tl_embedding, Tensor br_embedding, Tensor tl_offset, Tensor br_offset, *, "
    "float distance_threshold, int max_pairs, bool skip_border=False) -> "
    "(Tensor boxes, Tensor scores, Tensor labels)",
    check=_check,
    reference=_reference,
    fake=_fake,
    autocast_to_float32=True,
)
