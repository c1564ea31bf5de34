"""The hourglass backbone (section 4.5 of the paper).

Modules carry the names that MMDetection gives them, so that weights go both ways by key.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cornernet.model.layers import BasicBlock, ConvModule, recomputed, residual_blocks


class Hourglass(nn.Module):
    """One resolution of an hourglass, around all coarser ones.

    The features are halved in resolution by stride (the paper replaces max pooling by it), taken
    through the coarser resolutions, brought back by nearest up-sampling and added to the skip path.

    Args:
        channels: channels of this resolution and of each coarser one.
        blocks: residual blocks of each.
    """

    # Whether each resolution's blocks are computed again in backward instead of kept.
    recompute = False

    def __init__(self, channels: list[int], blocks: list[int]) -> None:
        super().__init__()
        here, below = channels[0], channels[1]
        self.up1 = residual_blocks(here, here, blocks[0])
        self.low1 = residual_blocks(here, below, blocks[0], stride=2)
        self.low2: nn.Module
        if len(channels) > 2:
            self.low2 = Hourglass(channels[1:], blocks[1:])
        else:
            self.low2 = residual_blocks(below, below, blocks[1])
        self.low3 = nn.Sequential(
            *(BasicBlock(below, below) for _ in range(blocks[0] - 1)), BasicBlock(below, here)
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.recompute and torch.is_grad_enabled():
            skip = recomputed(self.up1, x)
            low = self.low2(recomputed(self.low1, x))
            low = recomputed(self.low3, low)
        else:
            skip = self.up1(x)
            low = self.low3(self.low2(self.low1(x)))
        # By size and not by factor: an odd side was rounded up on the way down.
        return skip + F.interpolate(low, size=skip.shape[-2:], mode="nearest")


class HourglassNet(nn.Module):
    """Stem, then `stacks` hourglasses, each of which gives a feature map at 1/4 resolution.

    Between two stacks the input and the output of the first are merged by 1×1 convolutions and
    passed through one residual block.

    Attributes:
        stride: pixels of the input per cell of a feature map, in each direction.
        size_multiple: an input whose sides are one pixel less than a multiple of this is halved
            down to the coarsest resolution, rounding up, without an odd side in between. Other
            sizes are accepted, too.
        feature_channels: channels of the feature maps.
        finest_channels: channels at the finest resolution.
    """

    stride = 4

    @classmethod
    def multiple_of_sizes(cls, stage_channels: list[int]) -> int:
        """`size_multiple` of a network with these stages."""
        return cls.stride * 2 ** (len(stage_channels) - 1)

    def __init__(
        self,
        stacks: int,
        stage_channels: list[int],
        stage_blocks: list[int],
        feature_channels: int,
    ) -> None:
        super().__init__()
        channels = stage_channels[0]
        self.size_multiple = self.multiple_of_sizes(stage_channels)
        self.feature_channels = feature_channels
        self.finest_channels = channels
        self.stem = nn.Sequential(
            ConvModule(3, channels // 2, 7, stride=2),
            residual_blocks(channels // 2, channels, 1, stride=2),
        )
        self.hourglass_modules = nn.ModuleList(
            Hourglass(stage_channels, stage_blocks) for _ in range(stacks)
        )
        self.out_convs = nn.ModuleList(
            ConvModule(channels, feature_channels, 3) for _ in range(stacks)
        )
        between = range(stacks - 1)
        self.inters = nn.ModuleList(BasicBlock(channels, channels) for _ in between)
        self.conv1x1s = nn.ModuleList(
            ConvModule(channels, channels, 1, relu=False) for _ in between
        )
        self.remap_convs = nn.ModuleList(
            ConvModule(feature_channels, channels, 1, relu=False) for _ in between
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """[N, 3, H, W] to one [N, feature_channels, ⌈H/4⌉, ⌈W/4⌉] per stack."""
        x = self.stem(x)
        features = []
        for stack, (hourglass, out_conv) in enumerate(
            zip(self.hourglass_modules, self.out_convs, strict=True)
        ):
            features.append(out_conv(hourglass(x)))
            if stack < len(self.inters):
                merged = self.conv1x1s[stack](x) + self.remap_convs[stack](features[-1])
                x = self.inters[stack](F.relu(merged))
        return features
