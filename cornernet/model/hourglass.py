"""The hourglass backbone (section 4.5 of the paper), and its variant of CornerNet-Squeeze.

Modules carry the names that MMDetection gives them, so that weights go both ways by key.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cornernet.config import ModelConfig
from cornernet.model.layers import (
    BasicBlock,
    Block,
    ConvModule,
    FireBlock,
    blocks,
    recomputed,
)
from cornernet.structures import Features

_BLOCKS: dict[str, Block] = {"residual": BasicBlock, "fire": FireBlock}


class Hourglass(nn.Module):
    """One resolution of an hourglass, around all coarser ones.

    The features are halved in resolution by stride (the paper replaces max pooling by it), taken
    through the coarser resolutions, brought back to this one and added to the skip path.

    Args:
        config: the kinds of blocks and of up-sampling.
        level: index of this resolution in `config.stage_channels`.
    """

    # Whether each resolution's blocks are computed again in backward instead of kept.
    recompute = False

    def __init__(self, config: ModelConfig, level: int = 0) -> None:
        super().__init__()
        here, below = config.stage_channels[level : level + 2]
        number, number_below = config.stage_blocks[level : level + 2]
        kind = _BLOCKS[config.block]
        self.up1 = blocks(kind, here, here, number)
        self.low1 = blocks(kind, here, below, number, stride=2)
        self.low2: nn.Module
        if level + 2 < len(config.stage_channels):
            self.low2 = Hourglass(config, level + 1)
        else:
            self.low2 = blocks(kind, below, below, number_below)
        self.low3 = nn.Sequential(
            *(kind(below, below) for _ in range(number - 1)), kind(below, here)
        )
        self.up2: nn.ConvTranspose2d | None = None
        if config.upsampling == "transposed":
            self.up2 = nn.ConvTranspose2d(here, here, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """[N, channels, h, w] to the sums at this and coarser resolutions, the coarsest first."""
        keep = not (self.recompute and torch.is_grad_enabled())

        def run(module: nn.Module, x: Tensor) -> Tensor:
            return cast(Tensor, module(x)) if keep else recomputed(module, x)

        skip, low = run(self.up1, x), run(self.low1, x)
        coarser: list[Tensor] = []
        if isinstance(self.low2, Hourglass):
            coarser = self.low2(low)
            low = coarser[-1]
        else:
            low = self.low2(low)
        low = run(self.low3, low)
        # To the size of the skip path: an odd side was rounded up on the way down.
        height, width = skip.shape[-2:]
        if self.up2 is not None:
            low = self.up2(low)[..., :height, :width]
        else:
            low = F.interpolate(low, size=(height, width), mode="nearest")
        return [*coarser, skip + low]


class HourglassNet(nn.Module):
    """Stem, then `config.stacks` hourglasses, each of which gives a feature map.

    Between two stacks the input and the output of the first are merged by 1×1 convolutions and
    passed through one residual block.

    Args:
        config: the network's sizes.

    Attributes:
        stride: pixels of the input per cell of a feature map, in each direction.
        size_multiple: see `ModelConfig`.
        feature_channels: channels of the feature maps.
        finest_channels: channels at the finest resolution.
        levels: how many of the finest resolutions of each hourglass are handed out besides the
            feature map; 0 until heads ask for some.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels, features = config.stage_channels[0], config.feature_channels
        self.stride = config.stem_stride
        self.size_multiple = config.size_multiple
        self.feature_channels = features
        self.finest_channels = channels
        self.levels = 0
        self.stem = nn.Sequential(
            ConvModule(3, channels // 2, 7, stride=2),
            blocks(BasicBlock, channels // 2, channels, 1, stride=2),
        )
        if config.stem_stride == 8:
            self.stem.append(blocks(BasicBlock, channels, channels, 1, stride=2))
        self.hourglass_modules = nn.ModuleList(Hourglass(config) for _ in range(config.stacks))
        self.out_convs = nn.ModuleList(
            ConvModule(channels, features, 3) for _ in range(config.stacks)
        )
        between = range(config.stacks - 1)
        self.inters = nn.ModuleList(BasicBlock(channels, channels) for _ in between)
        self.conv1x1s = nn.ModuleList(
            ConvModule(channels, channels, 1, relu=False) for _ in between
        )
        self.remap_convs = nn.ModuleList(
            ConvModule(features, channels, 1, relu=False) for _ in between
        )

    def forward(self, x: Tensor) -> list[Features]:
        """[N, 3, H, W] to features of each stack: [N, feature_channels, ⌈H/stride⌉, ⌈W/stride⌉]."""
        x = self.stem(x)
        features = []
        for stack, (hourglass, out_conv) in enumerate(
            zip(self.hourglass_modules, self.out_convs, strict=True)
        ):
            sums = hourglass(x)
            levels = tuple(sums[len(sums) - self.levels :])
            features.append(Features(out_conv(sums[-1]), levels))
            if stack < len(self.inters):
                merged = self.conv1x1s[stack](x) + self.remap_convs[stack](features[-1].map)
                x = self.inters[stack](F.relu(merged))
        return features
