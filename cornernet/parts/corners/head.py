"""The prediction module: corner pooling and the heat-map, embedding and offset branches.

Sections 3.2 to 3.5 of the paper and its figure 7. Attribute names are MMDetection's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cornernet.model.layers import (
    ConvModule,
    joint_convolution,
    parallel_convolution,
    recomputed,
)
from cornernet.parts.corners.structures import Outputs
from cornernet.parts.interface import Head, SharedConvolution
from cornernet_ops import corner_pool_pair
from cornernet_ops.corner_pool_pair import CORNERS

# The heat-map's bias makes every probability start at this value, so that the many negatives do
# not swamp the first steps of the focal loss.
PRIOR_PROBABILITY = 0.1


class BiCornerPool(nn.Module):
    """Two corner poolings, added, with a projected skip connection (figure 7).

    Args:
        channels: of input and output.
        pool_channels: of the two pooled maps.
        directions: of the poolings; ("top", "left") for top-left corners, else ("bottom", "right").
    """

    def __init__(self, channels: int, pool_channels: int, directions: tuple[str, str]) -> None:
        super().__init__()
        self.direction1_conv = ConvModule(channels, pool_channels, 3)
        self.direction2_conv = ConvModule(channels, pool_channels, 3)
        self.corner = {pair: corner for corner, pair in CORNERS.items()}[directions]
        self.aftpool_conv = ConvModule(pool_channels, channels, 3, relu=False)
        self.conv1 = ConvModule(channels, channels, 1, relu=False)
        self.conv2 = ConvModule(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        pooled = corner_pool_pair(self.direction1_conv(x), self.direction2_conv(x), self.corner)
        return self.conv2(F.relu(self.aftpool_conv(pooled) + self.conv1(x)))


class Branch(nn.Sequential):
    """3×3 convolution, ReLU, 1×1 convolution: features to one kind of map."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        last = ConvModule(hidden, outputs, 1, norm=False, relu=False)
        super().__init__(ConvModule(inputs, hidden, 3, norm=False), last)

    @property
    def hidden(self) -> nn.Conv2d:
        """The convolution that gives the hidden map."""
        return cast(ConvModule, self[0]).conv

    @property
    def output(self) -> nn.Conv2d:
        """The convolution that gives the map."""
        return cast(ConvModule, self[1]).conv


class CornerHead(Head):
    """One prediction module per stack; in evaluation only the last is run.

    Args:
        stacks: number of feature maps in training.
        feature_channels: channels of a feature map.
        pool_channels: see `BiCornerPool`.
        head_channels: hidden channels of the branches.
        num_classes: channels of the heat-maps.
        embedding_channels: channels of the embeddings.
    """

    def __init__(
        self,
        stacks: int,
        feature_channels: int,
        pool_channels: int,
        head_channels: int,
        num_classes: int,
        embedding_channels: int,
    ) -> None:
        super().__init__()

        def pools(first: str, second: str) -> nn.ModuleList:
            return nn.ModuleList(
                BiCornerPool(feature_channels, pool_channels, (first, second))
                for _ in range(stacks)
            )

        def branches(outputs: int) -> nn.ModuleList:
            return nn.ModuleList(
                Branch(feature_channels, head_channels, outputs) for _ in range(stacks)
            )

        self.tl_pool = pools("top", "left")
        self.br_pool = pools("bottom", "right")
        self.tl_heat = branches(num_classes)
        self.br_heat = branches(num_classes)
        self.tl_off = branches(2)
        self.br_off = branches(2)
        self.tl_emb = branches(embedding_channels)
        self.br_emb = branches(embedding_channels)
        self._initialise()

    def class_dependent_layers(self) -> list[str]:
        return [
            f"{corner}_heat.{stack}.1.conv"
            for corner in ("tl", "br")
            for stack in range(len(self.tl_heat))
        ]

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, ConvModule):
                nn.init.kaiming_normal_(module.conv.weight, mode="fan_out", nonlinearity="relu")
                if module.conv.bias is not None:
                    nn.init.zeros_(module.conv.bias)
        prior = -math.log((1 - PRIOR_PROBABILITY) / PRIOR_PROBABILITY)
        for name, module in self.named_modules():
            if isinstance(module, Branch):
                module.output.reset_parameters()
                if name.startswith(("tl_heat", "br_heat")):
                    nn.init.constant_(cast(Tensor, module.output.bias), prior)

    def forward(self, features: list[Tensor]) -> list[Outputs]:
        stacks = range(len(features)) if self.training else [len(features) - 1]
        return [self._stack(stack, features[stack]) for stack in stacks]

    def _stack(self, stack: int, feature: Tensor) -> Outputs:
        def run(module: nn.Module, x: Tensor) -> Tensor:
            if self.recompute and torch.is_grad_enabled():
                return recomputed(module, x)
            return cast(Tensor, module(x))

        top_left = run(self.tl_pool[stack], feature)
        bottom_right = run(self.br_pool[stack], feature)
        return Outputs(
            tl_heat=run(self.tl_heat[stack], top_left),
            br_heat=run(self.br_heat[stack], bottom_right),
            tl_embedding=run(self.tl_emb[stack], top_left),
            br_embedding=run(self.br_emb[stack], bottom_right),
            tl_offset=run(self.tl_off[stack], top_left),
            br_offset=run(self.br_off[stack], bottom_right),
        )

    def fused(self) -> tuple[list[SharedConvolution], nn.Module]:
        pools = [cast(BiCornerPool, pool[-1]) for pool in (self.tl_pool, self.br_pool)]
        shared = [
            SharedConvolution(module.conv, relu=True)
            for pool in pools
            for module in (pool.direction1_conv, pool.direction2_conv)
        ]
        shared += [SharedConvolution(pool.conv1.conv, relu=False) for pool in pools]
        return shared, FusedCornerHead(self)


class _CornerMaps(nn.Module):
    """From pooled maps of one kind of corner to its heat-map, embedding and offset."""

    def __init__(self, pool: BiCornerPool, branches: Sequence[Branch]) -> None:
        super().__init__()
        self.after_pool = pool.aftpool_conv.conv
        self.features = pool.conv2
        self.hidden = joint_convolution([branch.hidden for branch in branches])
        self.maps = parallel_convolution([branch.output for branch in branches])
        self.channels = [branch.output.out_channels for branch in branches]

    def forward(self, pooled: Tensor, skip: Tensor) -> Sequence[Tensor]:
        features = self.features(F.relu(self.after_pool(pooled) + skip))
        maps: Tensor = self.maps(F.relu(self.hidden(features)))
        return maps.split(self.channels, dim=1)


class FusedCornerHead(nn.Module):
    """The last stack's corners for inference, behind the convolutions that read the features.

    Args:
        head: with BatchNorm folded; its convolutions are taken over.
    """

    def __init__(self, head: CornerHead) -> None:
        super().__init__()
        kinds = (
            (head.tl_pool, (head.tl_heat, head.tl_emb, head.tl_off)),
            (head.br_pool, (head.br_heat, head.br_emb, head.br_off)),
        )
        self.tl, self.br = (
            _CornerMaps(cast(BiCornerPool, pool[-1]), [cast(Branch, b[-1]) for b in branches])
            for pool, branches in kinds
        )

    def forward(self, shared: list[Tensor]) -> Outputs:
        top, left, bottom, right, tl_skip, br_skip = shared
        tl = self.tl(corner_pool_pair(top, left, "top_left"), tl_skip)
        br = self.br(corner_pool_pair(bottom, right, "bottom_right"), br_skip)
        return Outputs(tl[0], br[0], tl[1], br[1], tl[2], br[2])
