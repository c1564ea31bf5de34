"""The head of attention: a branch for each of an hourglass's finest resolutions.

Law et al., "CornerNet-Lite: Efficient Keypoint Based Object Detection", BMVC 2020, section 3.1.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from cornernet.config import ModelConfig
from cornernet.model.layers import Float32Conv2d
from cornernet.parts.attention.structures import AttentionMaps
from cornernet.parts.interface import Head, SharedConvolution
from cornernet.parts.layers import Branch, initialise
from cornernet.structures import Features


class AttentionHead(Head):
    """Branches that read an hourglass's sums; in evaluation only the last stack's are run.

    Args:
        config: the network's sizes; there is a branch for each of `object_sizes`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = config.stage_channels[: len(config.object_sizes)][::-1]
        self.heat = nn.ModuleList(
            nn.ModuleList(Branch(inputs, config.head_channels, 1) for inputs in channels)
            for _ in range(config.stacks)
        )
        initialise(self)

    def class_dependent_layers(self) -> list[str]:
        return []

    def maps(self, stack: int, features: Features) -> AttentionMaps:
        of_stack = zip(cast(nn.ModuleList, self.heat[stack]), features.levels, strict=True)
        return AttentionMaps(tuple(self.run(branch, level) for branch, level in of_stack))

    def fused(self) -> tuple[list[SharedConvolution], nn.Module]:
        last = [cast(Branch, branch) for branch in cast(nn.ModuleList, self.heat[-1])]
        shared = [
            SharedConvolution(branch.hidden, relu=True, level=level)
            for level, branch in enumerate(last)
        ]
        return shared, FusedAttentionHead(last)


class FusedAttentionHead(nn.Module):
    """The last stack's attention for inference, behind the convolutions that read the features.

    Args:
        branches: their last convolutions are taken over.
    """

    def __init__(self, branches: list[Branch]) -> None:
        super().__init__()
        self.outputs = nn.ModuleList()
        for branch in branches:
            output = Float32Conv2d(branch.output.in_channels, 1, 1)
            output.load_state_dict(branch.output.state_dict())
            self.outputs.append(output)

    def forward(self, shared: list[Tensor]) -> AttentionMaps:
        maps = zip(self.outputs, shared, strict=True)
        return AttentionMaps(tuple(output(hidden) for output, hidden in maps))
