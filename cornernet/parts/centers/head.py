"""The head of centres: centre pooling and the heat-map and offset branches.

Duan et al., "CenterNet: Keypoint Triplets for Object Detection", ICCV 2019, section 3.2.
"""

from __future__ import annotations

from typing import cast

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


class FusedCenterHead(nn.Module):
    """The last stack's centres for inference, behind the convolutions that read the features.

    Args:
        head: with BatchNorm folded; its convolutions are taken over.
    """

    def __init__(self, head: CenterHead) -> None:
        super().__init__()
        last = [cast(Branch, branch[-1]) for branch in (head.heat, head.off)]
        self.branches = FusedBranches(cast(PoolingModule, head.pool[-1]), last)

    def forward(self, shared: list[Tensor]) -> CenterMaps:
        heat, offset = self.branches(*shared)
        return CenterMaps(heat, offset)
