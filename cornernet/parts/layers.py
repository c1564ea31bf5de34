"""The layers that the heads of parts are made of.

Attribute names are MMDetection's, so that weights go both ways by key.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, cast

import torch.nn.functional as F
from torch import Tensor, nn

from cornernet.config import ModelConfig
from cornernet.model.layers import ConvModule, joint_convolution, parallel_convolution
from cornernet.parts.interface import SharedConvolution

# The heat-map's bias makes every probability start at this value, so that the many negatives do
# not swamp the first steps of the focal loss.
PRIOR_PROBABILITY = 0.1


class PoolingModule(nn.Module):
    """Two maps pooled and added, with a projected skip connection (figure 7 of the paper).

    Args:
        channels: of input and output.
        pool_channels: of the maps that are pooled.
        pool: takes the maps of `pooled_maps`, [N, pool_channels, h, w] each, and gives their
            pooled sum.

    Attributes:
        pooled_maps: names of the layers that give the maps to be pooled.
    """

    pooled_maps: ClassVar[tuple[str, ...]] = ("direction1_conv", "direction2_conv")

    def __init__(self, channels: int, pool_channels: int, pool: Callable[..., Tensor]) -> None:
        super().__init__()
        self.direction1_conv = ConvModule(channels, pool_channels, 3)
        self.direction2_conv = ConvModule(channels, pool_channels, 3)
        self.pool = pool
        self.aftpool_conv = ConvModule(pool_channels, channels, 3, relu=False)
        self.conv1 = ConvModule(channels, channels, 1, relu=False)
        self.conv2 = ConvModule(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pool(*(getattr(self, name)(x) for name in self.pooled_maps))
        return cast(Tensor, self.conv2(F.relu(self.aftpool_conv(pooled) + self.conv1(x))))

    def shared_convolutions(self) -> list[SharedConvolution]:
        """What reads the feature map: the maps before pooling, then the projection."""
        before = (cast(ConvModule, getattr(self, name)) for name in self.pooled_maps)
        return [
            *(SharedConvolution(layer.conv, relu=True) for layer in before),
            SharedConvolution(self.conv1.conv, relu=False),
        ]


class Branch(nn.Sequential):
    """Convolution, ReLU, 1×1 convolution: features to one kind of map.

    Args:
        inputs: channels of the features.
        hidden: channels between the convolutions.
        outputs: channels of the map.
        kernel: side of the first convolution.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, kernel: int = 3) -> None:
        last = ConvModule(hidden, outputs, 1, norm=False, relu=False)
        super().__init__(ConvModule(inputs, hidden, kernel, norm=False), last)

    @property
    def hidden(self) -> nn.Conv2d:
        """The convolution that gives the hidden map."""
        return cast(ConvModule, self[0]).conv

    @property
    def output(self) -> nn.Conv2d:
        """The convolution that gives the map."""
        return cast(ConvModule, self[1]).conv


def branches(config: ModelConfig, outputs: int) -> nn.ModuleList:
    """A `Branch` that reads features, for each stack of a network."""
    return nn.ModuleList(
        Branch(config.feature_channels, config.head_channels, outputs, config.branch_kernel)
        for _ in range(config.stacks)
    )


def initialise(head: nn.Module) -> None:
    """Start the weights of a head; branches called `*heat*` start at `PRIOR_PROBABILITY`."""
    for module in head.modules():
        if isinstance(module, ConvModule):
            nn.init.kaiming_normal_(module.conv.weight, mode="fan_out", nonlinearity="relu")
            if module.conv.bias is not None:
                nn.init.zeros_(module.conv.bias)
    prior = -math.log((1 - PRIOR_PROBABILITY) / PRIOR_PROBABILITY)
    for name, module in head.named_modules():
        if isinstance(module, Branch):
            module.output.reset_parameters()
            if "heat" in name:
                nn.init.constant_(cast(Tensor, module.output.bias), prior)


class PooledConvolution(nn.Module):
    """The pooling of a `PoolingModule` and the convolution that reads its result.

    Args:
        module: with BatchNorm folded; its convolutions are taken over.
    """

    def __init__(self, module: PoolingModule) -> None:
        super().__init__()
        self.pool = module.pool
        self.conv = module.aftpool_conv.conv

    def forward(self, *maps: Tensor) -> Tensor:
        return cast(Tensor, self.conv(self.pool(*maps)))


class FusedBranches(nn.Module):
    """What follows the pooling of a `PoolingModule`, and the branches that read its result.

    Args:
        module: with BatchNorm folded; its convolutions are taken over.
        branches: read the module's result; their convolutions are taken over and joined.
        pooled: computes what `PooledConvolution` of the module does; None for that.
    """

    def __init__(
        self, module: PoolingModule, branches: Sequence[Branch], pooled: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.pooled = pooled or PooledConvolution(module)
        self.features = module.conv2
        self.hidden = joint_convolution([branch.hidden for branch in branches])
        self.maps = parallel_convolution([branch.output for branch in branches])
        self.channels = [branch.output.out_channels for branch in branches]

    def forward(self, *shared: Tensor) -> Sequence[Tensor]:
        """The branches' maps, from what the module's `shared_convolutions` gave."""
        *before, skip = shared
        features = self.features(F.relu(self.pooled(*before) + skip))
        maps: Tensor = self.maps(F.relu(self.hidden(features)))
        return maps.split(self.channels, dim=1)
