"""Corners as a part of a detector: boxes as pairs of a top-left and a bottom-right corner."""

from __future__ import annotations

from torch import Tensor

from cornernet.config import LossConfig, TestConfig
from cornernet.parts.corners.decode import decode
from cornernet.parts.corners.head import CornerHead
from cornernet.parts.corners.losses import corner_counts, corner_losses
from cornernet.parts.corners.structures import Outputs, Targets
from cornernet.parts.corners.targets import build_targets
from cornernet.parts.interface import Part
from cornernet.structures import Batch, Candidates


class Corners(Part):
    """Heat-maps, embeddings and offsets of both kinds of corners (paper, section 3)."""

    name = "corners"
    head_name = "head"  # as in weights files since the first version
    loss_names = ("focal", "pull", "push", "offset")

    def build_head(self) -> CornerHead:
        return CornerHead(self.model, self.num_classes)

    def targets(
        self,
        batch: Batch,
        image_size: tuple[int, int],
        map_size: tuple[int, int],
        config: LossConfig,
        ignored: Tensor | None,
    ) -> Targets:
        return build_targets(
            batch.boxes,
            batch.labels,
            self.num_classes,
            image_size,
            map_size,
            config.gaussian_iou,
            ignored,
            (batch.difficult_boxes, batch.difficult_labels),
            str(config.radius_formula),
        )

    def counts(self, targets: Targets) -> Tensor:
        return corner_counts(targets)

    def losses(
        self,
        maps: list[Outputs],
        targets: Targets,
        counts: Tensor,
        config: LossConfig,
        processes: int,
    ) -> dict[str, Tensor]:
        return corner_losses(maps, targets, config, counts, processes)

    def decode(
        self,
        maps: Outputs,
        found: Candidates | None,
        config: TestConfig,
        image_size: tuple[int, int],
    ) -> Candidates:
        assert found is None, "corners are what other parts refine"
        return decode(maps, config, image_size)
