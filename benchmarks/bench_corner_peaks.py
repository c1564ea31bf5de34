"""corner_peaks against max-pooling the map and sorting it, and against reading it once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from cornernet_ops import corner_peaks, reference

from .maps import Setting
from .measure import Case

Peaks = Callable[[Tensor, int], tuple[Tensor, Tensor]]

# The heat-maps of one picture and of a batch of six: COCO's classes, 511 pixels.
QUICK_SHAPES = [(1, 80, 128, 128)]
FULL_SHAPES = [(1, 80, 128, 128), (6, 80, 128, 128), (1, 3, 128, 128), (1, 80, 256, 256)]


def pooled(heat: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The way of MMDetection: cells that are no maxima of their windows become 0, then top-k."""
    highest = F.max_pool2d(heat, 3, stride=1, padding=1)
    scores, indices = (heat * (highest == heat).to(heat.dtype)).flatten(1).topk(k)
    return scores, indices


def same_peaks(actual: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    """Equal scores, and equal indices where the score is one peak's alone."""
    torch.testing.assert_close(actual[0], expected[0], rtol=0, atol=0)
    ends = actual[0].new_full((len(actual[0]), 1), torch.nan)
    different = torch.cat([ends, actual[0], ends], 1).diff(dim=1) != 0
    alone = different[:, 1:] & different[:, :-1]
    alone[:, -1] = False  # others of the last one's score may have been cut off
    assert torch.equal(actual[1][alone], expected[1][alone])


def cases(device: torch.device, full: bool) -> Iterator[Case]:
    dtypes = [torch.float32, torch.bfloat16] + [torch.float16, torch.float64] * full
    for shape in FULL_SHAPES if full else QUICK_SHAPES:
        for dtype in dtypes:
            setting = Setting(dtype, "contiguous", shape)
            heat = setting.random(device).sigmoid()
            for k in (100, 1000) if full else (100,):
                yield _case(str(setting), heat, k)


def _case(setting: str, heat: Tensor, k: int) -> Case:
    def call(peaks: Peaks) -> Callable[[], tuple[Tensor, Tensor]]:
        return lambda: peaks(heat, k)

    return Case(
        op="corner_peaks",
        part=f"k = {k}",
        variant="",
        setting=setting,
        moved=heat.numel() * heat.element_size(),
        call=call(corner_peaks),
        others={"reference": call(reference.corner_peaks), "pooled": call(pooled)},
        floor=heat.sum,
        same=same_peaks,
    )
