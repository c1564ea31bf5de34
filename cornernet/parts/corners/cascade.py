"""Cascade corner pooling: a corner sees the inside of its object before its border.

Duan et al., "CenterNet: Keypoint Triplets for Object Detection", ICCV 2019, section 3.3. The paper
describes the two poolings in the reverse order; this is the order of the authors' code.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from cornernet.model.layers import ConvModule
from cornernet.parts.layers import PoolingModule
from cornernet_ops import corner_pool_add, corner_pool_pair

# Of each corner: the direction of its vertical and of its horizontal pooling.
_DIRECTIONS = {"top_left": ("top", "left"), "bottom_right": ("bottom", "right")}


class CascadePool(nn.Module):
    """Pooling into the object, a convolution, and pooling along the border, in both directions.

    Args:
        channels: of all maps.
        corner: "top_left" or "bottom_right".
    """

    def __init__(self, channels: int, corner: str) -> None:
        super().__init__()
        self.corner = corner
        self.vertical, self.horizontal = _DIRECTIONS[corner]
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(
        self, direction1: Tensor, direction2: Tensor, look1: Tensor, look2: Tensor
    ) -> Tensor:
        """The pooled sum, [N, channels, h, w], as all arguments.

        Args:
            direction1: what is pooled vertically.
            direction2: what is pooled horizontally.
            look1: pooled horizontally and added to `direction1` before.
            look2: pooled vertically and added to `direction2` before.
        """
        vertical = self.conv1(corner_pool_add(direction1, look1, self.horizontal))
        horizontal = self.conv2(corner_pool_add(direction2, look2, self.vertical))
        return corner_pool_pair(vertical, horizontal, self.corner)


class CascadeModule(PoolingModule):
    """A `PoolingModule` with cascade corner pooling.

    Args:
        channels: of input and output.
        pool_channels: of the maps that are pooled.
        corner: "top_left" or "bottom_right".
    """

    pooled_maps: ClassVar[tuple[str, ...]] = (
        *PoolingModule.pooled_maps,
        "look1_conv",
        "look2_conv",
    )

    def __init__(self, channels: int, pool_channels: int, corner: str) -> None:
        super().__init__(channels, pool_channels, CascadePool(pool_channels, corner))
        self.look1_conv = ConvModule(channels, pool_channels, 3)
        self.look2_conv = ConvModule(channels, pool_channels, 3)
