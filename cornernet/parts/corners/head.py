"""The head of corners: corner pooling and the heat-map, embedding and offset branches.

Sections 3.2 to 3.5 of the paper and its figure 7. Attribute names are MMDetection's.
"""

from __future__ import annotations

from functools import partial
from typing import cast

from torch import Tensor, nn

from cornernet.config import ModelConfig
from cornernet.parts.corners.cascade import CascadeModule
from cornernet.parts.corners.structures import Outputs
from cornernet.parts.interface import Head, SharedConvolution
from cornernet.parts.layers import Branch, FusedBranches, PoolingModule, branches, initialise
from cornernet.structures import Features
from cornernet_ops import corner_pool_pair


def pooling_module(config: ModelConfig, corner: str) -> PoolingModule:
    """The pooling module for a corner, of the kind that `model.corner_pooling` says."""
    channels = (config.feature_channels, config.pool_channels)
    if config.corner_pooling == "cascade":
        return CascadeModule(*channels, corner)
    return PoolingModule(*channels, partial(corner_pool_pair, corner=corner))


class CornerHead(Head):
    """One prediction module per stack; in evaluation only the last is run.

    Args:
        config: the network's sizes and its kind of corner pooling.
        num_classes: channels of the heat-maps.
    """

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__()

        def pools(corner: str) -> nn.ModuleList:
            return nn.ModuleList(pooling_module(config, corner) for _ in range(config.stacks))

        self.tl_pool = pools("top_left")
        self.br_pool = pools("bottom_right")
        self.tl_heat = branches(config, num_classes)
        self.br_heat = branches(config, num_classes)
        self.tl_off = branches(config, 2)
        self.br_off = branches(config, 2)
        self.tl_emb = branches(config, config.embedding_channels)
        self.br_emb = branches(config, config.embedding_channels)
        initialise(self)

    def class_dependent_layers(self) -> list[str]:
        return [
            f"{corner}_heat.{stack}.1.conv"
            for corner in ("tl", "br")
            for stack in range(len(self.tl_heat))
        ]

    def maps(self, stack: int, features: Features) -> Outputs:
        run = self.run
        top_left = run(self.tl_pool[stack], features.map)
        bottom_right = run(self.br_pool[stack], features.map)
        return Outputs(
            tl_heat=run(self.tl_heat[stack], top_left),
            br_heat=run(self.br_heat[stack], bottom_right),
            tl_embedding=run(self.tl_emb[stack], top_left),
            br_embedding=run(self.br_emb[stack], bottom_right),
            tl_offset=run(self.tl_off[stack], top_left),
            br_offset=run(self.br_off[stack], bottom_right),
        )

    def fused(self) -> tuple[list[SharedConvolution], nn.Module]:
        pools = [cast(PoolingModule, pool[-1]) for pool in (self.tl_pool, self.br_pool)]
        shared = [convolution for pool in pools for convolution in pool.shared_convolutions()]
        return shared, FusedCornerHead(self)


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
            FusedBranches(
                cast(PoolingModule, pool[-1]), [cast(Branch, branch[-1]) for branch in of_pool]
            )
            for pool, of_pool in kinds
        )

    def forward(self, shared: list[Tensor]) -> Outputs:
        middle = len(shared) // 2
        tl, br = self.tl(*shared[:middle]), self.br(*shared[middle:])
        return Outputs(tl[0], br[0], tl[1], br[1], tl[2], br[2])
