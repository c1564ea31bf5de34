"""corner_decode, alone and with the search for peaks before it, against MMDetection's decoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from cornernet_ops import corner_decode, corner_peaks, reference
from cornernet_ops.checks import dtype_name

from . import mmdetection
from .bench_corner_peaks import pooled
from .measure import Case

# MMDetection's settings for COCO.
TOPK = 100
PAIRS = 1000
DISTANCE = 0.5

Corners = tuple[Tensor, Tensor]
Boxes = tuple[Tensor, Tensor, Tensor]


class Maps(NamedTuple):
    """What a network puts out for a batch; see `cornernet.parts.corners.structures.Outputs`."""

    tl_heat: Tensor
    br_heat: Tensor
    tl_embedding: Tensor
    br_embedding: Tensor
    tl_offset: Tensor
    br_offset: Tensor


def random_maps(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Maps:
    """Logits without any order, and embeddings of which about half are near each other."""
    n, _, height, width = shape
    generator = torch.Generator().manual_seed(0)

    def normal(channels: int) -> Tensor:
        values = torch.randn(n, channels, height, width, generator=generator)
        return values.to(device, dtype)

    offsets = normal(2).sigmoid(), normal(2).sigmoid()
    return Maps(normal(shape[1]), normal(shape[1]), normal(1) / 2, normal(1) / 2, *offsets)


def peaks_of(peaks: Callable[[Tensor, int], Corners], maps: Maps) -> tuple[Tensor, ...]:
    """Probabilities and cells of both kinds of corners, the probability of the peaks alone."""
    tl_scores, tl_cells = peaks(maps.tl_heat, TOPK)
    br_scores, br_cells = peaks(maps.br_heat, TOPK)
    return tl_scores.float().sigmoid(), tl_cells, br_scores.float().sigmoid(), br_cells


def mmdetection_peaks(maps: Maps) -> tuple[Tensor, ...]:
    """The probability of every cell, then the best of those that are maxima of their windows."""
    tl_scores, tl_cells = pooled(maps.tl_heat.sigmoid(), TOPK)
    br_scores, br_cells = pooled(maps.br_heat.sigmoid(), TOPK)
    return tl_scores, tl_cells, br_scores, br_cells


def mmdetection_pairs(corners: tuple[Tensor, ...], maps: Maps) -> Boxes:
    """Every pair of corners written out, -1 for the score of those that do not fit, then top-k."""
    tl_scores, tl_cells, br_scores, br_cells = corners
    n, _, height, width = maps.tl_heat.shape

    def expanded(cells: Tensor, values: Tensor, dim: int) -> list[Tensor]:
        """Label, x, y, embedding of the corners, [N, K, K] each, varying along `dim`."""
        place = cells % (height * width)

        def at(map: Tensor) -> Tensor:
            return map.flatten(2).gather(2, place[:, None].expand(-1, map.shape[1], -1))

        shift = at(values)
        fields = [
            cells.div(height * width, rounding_mode="floor"),
            place % width + shift[:, 0],
            place.div(width, rounding_mode="floor") + shift[:, 1],
        ]
        shape = [n, TOPK, TOPK]
        return [
            field.unsqueeze(dim).repeat(1, *(TOPK if d == dim else 1 for d in (1, 2))).view(shape)
            for field in fields
        ]

    tl_label, x1, y1 = expanded(tl_cells, maps.tl_offset, 2)
    br_label, x2, y2 = expanded(br_cells, maps.br_offset, 1)
    area = height * width
    tl_tag = maps.tl_embedding.flatten(1).gather(1, tl_cells % area)
    br_tag = maps.br_embedding.flatten(1).gather(1, br_cells % area)
    scores = (tl_scores[:, :, None] + br_scores[:, None, :]) / 2
    distance = (tl_tag[:, :, None] - br_tag[:, None, :]).abs()
    scores = scores.clone()
    for refused in (tl_label != br_label, distance > DISTANCE, x2 <= x1, y2 <= y1):
        scores[refused] = -1
    scores, order = scores.flatten(1).topk(PAIRS)
    boxes = torch.stack([x1, y1, x2, y2], 3).flatten(1, 2)
    boxes = boxes.gather(1, order[:, :, None].expand(-1, -1, 4))
    return boxes, scores, tl_label.flatten(1).gather(1, order)


def same_boxes(actual: Boxes, expected: Boxes) -> None:
    """Equal scores; equal boxes and labels where a pair was found and its score is its own."""
    torch.testing.assert_close(actual[1], expected[1].to(actual[1].dtype), rtol=0, atol=1e-6)
    ends = actual[1].new_full((len(actual[1]), 1), torch.nan)
    apart = ~(torch.cat([ends, actual[1], ends], 1).diff(dim=1).abs() < 1e-5)
    alone = apart[:, 1:] & apart[:, :-1] & (actual[1] >= 0)
    alone[:, -1] = False
    assert alone.any()
    torch.testing.assert_close(actual[0][alone], expected[0][alone].to(actual[0].dtype))
    assert torch.equal(actual[2][alone], expected[2][alone])


def cases(device: torch.device, full: bool) -> Iterator[Case]:
    shapes = [(1, 80, 128, 128)] + [(6, 80, 128, 128), (1, 3, 128, 128)] * full
    for shape in shapes:
        for dtype in [torch.float32] + [torch.bfloat16] * full:
            maps = random_maps(shape, dtype, device)
            yield from _cases(f"{dtype_name(dtype)} {list(shape)}", maps)


def _cases(setting: str, maps: Maps) -> Iterator[Case]:
    def pairs_of(decode: Callable[..., Boxes], corners: tuple[Tensor, ...]) -> Boxes:
        return decode(*corners, *maps[2:], distance_threshold=DISTANCE, max_pairs=PAIRS)

    others: dict[str, Callable[[], Boxes]] = {
        "reference": lambda: pairs_of(
            reference.corner_decode, peaks_of(reference.corner_peaks, maps)
        )
    }
    # Probabilities of 16 bits have so many ties that top-k finds other corners than we do.
    comparable = maps.tl_heat.dtype == torch.float32
    if comparable:
        others["like mmdetection"] = lambda: mmdetection_pairs(mmdetection_peaks(maps), maps)
        if mmdetection.available():
            others["mmdetection"] = lambda: mmdetection.decode(
                *maps, topk=TOPK, max_pairs=PAIRS, distance_threshold=DISTANCE
            )
    yield Case(
        op="corner_decode",
        part="peaks and pairs",
        variant="",
        setting=setting,
        moved=2 * maps.tl_heat.numel() * maps.tl_heat.element_size(),
        call=lambda: pairs_of(corner_decode, peaks_of(corner_peaks, maps)),
        others=others,
        floor=lambda: (maps.tl_heat.sum(), maps.br_heat.sum()),
        same=same_boxes,
    )
    corners = peaks_of(corner_peaks, maps)
    others = {"reference": lambda: pairs_of(reference.corner_decode, corners)}
    if comparable:
        others["like mmdetection"] = lambda: mmdetection_pairs(corners, maps)
    yield Case(
        op="corner_decode",
        part="pairs",
        variant="",
        setting=setting,
        moved=maps.tl_heat.shape[0] * (2 * TOPK * (8 + 4 * 4) + PAIRS * (5 * 4 + 8)),
        call=lambda: pairs_of(corner_decode, corners),
        others=others,
        same=same_boxes,
    )
