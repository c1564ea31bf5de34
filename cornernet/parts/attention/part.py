"""Attention as a part of a detector: where it should look again, enlarged.

Law et al., "CornerNet-Lite: Efficient Keypoint Based Object Detection", BMVC 2020, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cornernet.config import LossConfig, TestConfig
from cornernet.parts.attention.head import AttentionHead
from cornernet.parts.attention.locations import find_locations
from cornernet.parts.attention.losses import attention_counts, attention_losses
from cornernet.parts.attention.structures import AttentionMaps, AttentionTargets
from cornernet.parts.attention.targets import build_targets
from cornernet.parts.interface import Part
from cornernet.structures import Batch, Locations


class Attention(Part):
    """Heat-maps of the centres of objects of all classes, one for each range of sizes."""

    name = "attention"
    head_name = "attention"
    loss_names = ("attention",)
    locates = True

    @property
    def levels(self) -> int:
        return len(self.model.object_sizes)

    def build_head(self) -> AttentionHead:
        return AttentionHead(self.model)

    def targets(
        self,
        batch: Batch,
        image_size: tuple[int, int],
        map_size: tuple[int, int],
        config: LossConfig,
        ignored: Tensor | None,
    ) -> AttentionTargets:
        boxes = batch.boxes
        if batch.difficult_boxes:
            pairs = zip(boxes, batch.difficult_boxes, strict=True)
            boxes = [torch.cat(pair) for pair in pairs]
        return build_targets(boxes, self.model.stem_stride, map_size, self.model.object_sizes)

    def counts(self, targets: AttentionTargets) -> Tensor:
        return attention_counts(targets)

    def losses(
        self,
        maps: list[AttentionMaps],
        targets: AttentionTargets,
        counts: Tensor,
        config: LossConfig,
        processes: int,
    ) -> dict[str, Tensor]:
        return attention_losses(maps, targets, config, counts, processes)

    def locations(self, maps: AttentionMaps, config: TestConfig) -> Locations:
        return find_locations(maps, config, self.model.stem_stride)
