"""The head of centres: centre pooling and the heat-map and offset branches.

Duan et al., "CenterNet: Keypoint Triplets for Object Detection", ICCV 2019, section 3.2.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cornernet.config import ModelConfig
from cornernet.parts.centers.structures import CenterMaps
from cornernet.parts.interface import Head, SharedConvolution
from cornernet.parts.layers import Branch, FusedBranches, PoolingModule, branches, initialise
from cornernet.structures import Features
from cornernet_ops import center_pool


class CenterHead(Head):
    """One prediction module per stack; in evaluation only the last is run.

    Args:
        config: the network's sizes.
        num_classes: channels of the heat-maps.
    """

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__()
        self.pool = nn.ModuleList(
            PoolingModule(config.feature_channels, config.pool_channels, center_pool)
            for _ in range(config.stacks)
        )
        self.heat = branches(config, num_classes)
        self.off = branches(config, 2)
        initialise(self)

    def class_dependent_layers(self) -> list[str]:
        return [f"heat.{stack}.1.conv" for stack in range(len(self.heat))]

    def maps(self, stack: int, features: Features) -> CenterMaps:
        pooled = self.run(self.pool[stack], features.map)
        return CenterMaps(self.run(self.heat[stack], pooled), self.run(self.off[stack], pooled))

    def fused(self) -> tuple[list[SharedConvolution], nn.Module]:
        pool = cast(PoolingModule, self.pool[-1])
        return pool.shared_convolutions(), FusedCenterHead(self)


class CenterPooledConvolution(nn.Module):
    """Centre pooling and the 3×3 convolution that reads its result, without computing the map.

    What is pooled is a row of column maxima plus a column of row maxima. The convolution of the
    first has equal rows but for the first and the last one, at which it meets the border; that of
    the second has such columns. So maps of three rows and of three columns are convolved.

    Args:
        conv: 3×3, padded to keep the size; taken over.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, vertical: Tensor, horizontal: Tensor) -> Tensor:
        """As `conv(center_pool(vertical, horizontal))`."""
        height, width = vertical.shape[-2:]
        columns = vertical.amax(2, keepdim=True).expand(-1, -1, min(height, 3), -1)
        rows = horizontal.amax(3, keepdim=True).expand(-1, -1, -1, min(width, 3))
        # The bias counts once.
        of_rows = F.conv2d(rows, self.conv.weight, padding=1)
        return _stretched(self.conv(columns), 2, height) + _stretched(of_rows, 3, width)


def _stretched(maps: Tensor, dim: int, size: int) -> Tensor:
    """Maps of three rows or columns with the one in the middle repeated up to a size."""
    if size <= 3:
        return maps
    first, inner, last = maps.split(1, dim)
    shape = list(maps.shape)
    shape[dim] = size - 2
    return torch.cat([first, inner.expand(shape), last], dim)


class FusedCenterHead(nn.Module):
    """The last stack's centres for inference, behind the convolutions that read the features.

    Args:
        head: with BatchNorm folded; its convolutions are taken over.
    """

    def __init__(self, head: CenterHead) -> None:
        super().__init__()
        last = [cast(Branch, branch[-1]) for branch in (head.heat, head.off)]
        pool = cast(PoolingModule, head.pool[-1])
        pooled = CenterPooledConvolution(pool.aftpool_conv.conv)
        self.branches = FusedBranches(pool, last, pooled)

    def forward(self, shared: list[Tensor]) -> CenterMaps:
        heat, offset = self.branches(*shared)
        return CenterMaps(heat, offset)
