"""Backbone and head as one module, from pixels to the maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cornernet.config import ModelConfig
from cornernet.model.hourglass import Hourglass, HourglassNet
from cornernet.parts.corners.head import CornerHead
from cornernet.parts.corners.structures import Outputs


class CornerDetector(nn.Module):
    """CornerNet's network: RGB pixels in, heat-maps, embeddings and offsets out.

    Args:
        config: the network's sizes.
        num_classes: number of classes.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.freeze_batch_norm = config.freeze_batch_norm
        self.backbone = HourglassNet(
            config.stacks, config.stage_channels, config.stage_blocks, config.feature_channels
        )
        self.head = CornerHead(
            config.stacks,
            config.feature_channels,
            config.pool_channels,
            config.head_channels,
            num_classes,
            config.embedding_channels,
        )
        # Normalisation is part of the network: whoever gives it a picture need not know of it.
        for name in ("pixel_mean", "pixel_std"):
            color = torch.tensor(getattr(config, name), dtype=torch.float32).view(3, 1, 1)
            self.register_buffer(name, color, persistent=False)
        if self.freeze_batch_norm:
            for module in self._batch_norms():
                module.requires_grad_(False)
        self.train()

    def _batch_norms(self) -> list[nn.BatchNorm2d]:
        return [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]

    def train(self, mode: bool = True) -> CornerDetector:
        """As in `nn.Module`; frozen BatchNorm stays in evaluation mode."""
        super().train(mode)
        if self.freeze_batch_norm:
            for module in self._batch_norms():
                module.eval()
        return self

    def checkpoint_activations(self) -> None:
        """Keep few activations for backward and compute the others again: less memory, more time.

        The maps and BatchNorm's statistics stay the same.
        """
        for module in self.modules():
            if isinstance(module, (Hourglass, CornerHead)):
                module.recompute = True

    def normalize(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] RGB in 0..255, uint8 or float, to zero mean and unit deviation, float32."""
        return (images.float() - self.pixel_mean) / self.pixel_std

    def map_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the maps for a picture of (height, width): a quarter, rounded up."""
        return -(-image_size[0] // 4), -(-image_size[1] // 4)

    def forward(self, images: Tensor) -> list[Outputs]:
        """Maps of every stack in training, of the last stack alone in evaluation.

        Args:
            images: [N, 3, H, W] RGB in 0..255, uint8 or float.

        Returns:
            Outputs with maps at a quarter of the resolution, sides rounded up.
        """
        return self.head(self.backbone(self.normalize(images)))


def to_channels_last(module: nn.Module) -> None:
    """Lay out convolution weights as NHWC, in place."""
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def count_parameters(module: nn.Module) -> int:
    """Number of learnt values."""
    return sum(parameter.numel() for parameter in module.parameters())
