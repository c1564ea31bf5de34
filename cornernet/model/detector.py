"""A backbone and its parts as one module, from pixels to maps, losses and candidates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cornernet.config import LossConfig, ModelConfig
from cornernet.model.hourglass import Hourglass, HourglassNet
from cornernet.parts import Head, build_parts
from cornernet.parts.crowds import crowd_cells
from cornernet.runtime.serialization import exportable
from cornernet.structures import Batch, Candidates, Detections, Features, Keypoints, OfView

# Not where they are defined, which does without torch.
for _class in (Candidates, Detections, Features, Keypoints, OfView):
    exportable(_class)

Maps = dict[str, Any]
"""The maps of one stack: those of each part under its name."""

TOTAL = "total"
"""The name of the sum of all losses."""


class Detector(nn.Module):
    """The network as it is trained: RGB pixels in, the maps of its parts out.

    Args:
        config: the network's sizes and parts.
        num_classes: number of classes.

    Attributes:
        parts: what the network predicts.
        loss_names: the names of all losses as they are logged, `TOTAL` first.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__()
        self.config = config
        self.num_classes = num_classes
        self.backbone = HourglassNet(config)
        self.parts = build_parts(config, num_classes)
        self.backbone.levels = max(part.levels for part in self.parts)
        self.loss_names = (TOTAL, *(name for part in self.parts for name in part.loss_names))
        for part in self.parts:
            self.add_module(part.head_name, part.build_head())
        # Normalisation is part of the network, so that a weights file is all that its user needs.
        for name in ("pixel_mean", "pixel_std"):
            color = torch.tensor(getattr(config, name), dtype=torch.float32).view(3, 1, 1)
            self.register_buffer(name, color, persistent=False)
        if config.freeze_batch_norm:
            for module in self._batch_norms():
                module.requires_grad_(False)
        self.train()

    def heads(self) -> list[Head]:
        """The heads of all parts, in their order."""
        return [cast(Head, getattr(self, part.head_name)) for part in self.parts]

    def _batch_norms(self) -> list[nn.BatchNorm2d]:
        return [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]

    def train(self, mode: bool = True) -> Detector:
        """As in `nn.Module`; frozen BatchNorm stays in evaluation mode."""
        super().train(mode)
        if self.config.freeze_batch_norm:
            for module in self._batch_norms():
                module.eval()
        return self

    def checkpoint_activations(self) -> None:
        """Keep few activations for backward and compute the others again: less memory, more time.

        The maps and BatchNorm's statistics stay the same.
        """
        for module in self.modules():
            if isinstance(module, (Hourglass, Head)):
                module.recompute = True

    def class_dependent_layers(self) -> list[str]:
        """Names of the layers whose shape depends on the number of classes."""
        return [
            f"{part.head_name}.{name}"
            for part, head in zip(self.parts, self.heads(), strict=True)
            for name in head.class_dependent_layers()
        ]

    def map_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the maps for an image of (height, width), rounded up."""
        stride = self.backbone.stride
        return -(-image_size[0] // stride), -(-image_size[1] // stride)

    def normalize(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] RGB in 0..255, uint8 or float, to zero mean and unit deviation, float32."""
        return (images.float() - self.pixel_mean) / self.pixel_std

    def forward(self, images: Tensor) -> list[Maps]:
        """Maps of every stack in training, of the last stack alone in evaluation.

        Args:
            images: [N, 3, H, W] RGB in 0..255, uint8 or float.

        Returns:
            The maps of each part, at 1 / `backbone.stride` of the resolution, sides rounded up.
        """
        features = self.backbone(self.normalize(images))
        by_part = [head(features) for head in self.heads()]
        names = [part.name for part in self.parts]
        return [dict(zip(names, maps, strict=True)) for maps in zip(*by_part, strict=True)]

    def targets(self, batch: Batch, config: LossConfig) -> list[Any]:
        """What each part should put out for a batch, on its device."""
        image_size = (batch.images.shape[2], batch.images.shape[3])
        map_size = self.map_size(image_size)
        ignored = None
        if config.ignore_crowds:
            ignored = crowd_cells(
                batch.crowd_boxes,
                batch.crowd_labels,
                self.num_classes,
                image_size,
                map_size,
                device=batch.images.device,
            )
        return [part.targets(batch, image_size, map_size, config, ignored) for part in self.parts]

    def counts(self, targets: list[Any]) -> list[Tensor]:
        """What the losses of each part are divided by, [C] each; see `Part.counts`."""
        return [part.counts(target) for part, target in zip(self.parts, targets, strict=True)]

    def losses(
        self,
        outputs: list[Maps],
        targets: list[Any],
        counts: list[Tensor],
        config: LossConfig,
        processes: int = 1,
    ) -> dict[str, Tensor]:
        """All losses of a batch and their sum, under `loss_names`; see `Part.losses`."""
        losses: dict[str, Tensor] = {}
        for part, target, count in zip(self.parts, targets, counts, strict=True):
            maps = [stack[part.name] for stack in outputs]
            losses |= part.losses(maps, target, count, config, processes)
        return {TOTAL: torch.stack(list(losses.values())).sum()} | losses


class _Uninitialised(TorchFunctionMode):
    """Leaves tensors as they are where they would be filled at random."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (Tensor.normal_, Tensor.uniform_):
            return args[0]
        return func(*args, **(kwargs or {}))


@contextmanager
def without_memory() -> Iterator[None]:
    """Give networks that are built inside tensors with shapes alone, on the meta device.

    There is nothing to fill at random there, but PyTorch would load its compiler to do so.
    """
    with torch.device("meta"), _Uninitialised():
        yield


def to_channels_last(module: nn.Module) -> None:
    """Lay out convolution weights as NHWC, in place."""
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def count_parameters(module: nn.Module) -> int:
    """Number of learnt values."""
    return sum(parameter.numel() for parameter in module.parameters())
