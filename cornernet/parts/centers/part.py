"""Centres as a part of a detector: a third keypoint that confirms a pair of corners.

Duan et al., "CenterNet: Keypoint Triplets for Object Detection", ICCV 2019.
"""

from __future__ import annotations

from torch import Tensor

from cornernet.config import LossConfig, TestConfig
from cornernet.parts.centers.decode import center_points, rescore, verify_views
from cornernet.parts.centers.head import CenterHead
from cornernet.parts.centers.losses import center_counts, center_losses
from cornernet.parts.centers.structures import CenterMaps, CenterTargets
from cornernet.parts.centers.targets import build_targets
from cornernet.parts.interface import Part
from cornernet.structures import Batch, Candidates, Keypoints


class Centers(Part):
    """Heat-maps and offsets of centres; lowers the scores of boxes without one."""

    name = "centers"
    head_name = "centers"
    loss_names = ("center", "center_offset")

    def build_head(self) -> CenterHead:
        return CenterHead(self.model, self.num_classes)

    def targets(
        self,
        batch: Batch,
        image_size: tuple[int, int],
        map_size: tuple[int, int],
        config: LossConfig,
        ignored: Tensor | None,
    ) -> CenterTargets:
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
            config.center_sigma,
        )

    def counts(self, targets: CenterTargets) -> Tensor:
        return center_counts(targets)

    def losses(
        self,
        maps: list[CenterMaps],
        targets: CenterTargets,
        counts: Tensor,
        config: LossConfig,
        processes: int,
    ) -> dict[str, Tensor]:
        return center_losses(maps, targets, config, counts, processes)

    def decode(
        self,
        maps: CenterMaps,
        found: Candidates | None,
        config: TestConfig,
        image_size: tuple[int, int],
    ) -> Candidates:
        assert found is not None, "centres need the boxes of another part"
        return rescore(maps, found, config, image_size) if config.center_rule == "nearby" else found

    def keypoints(
        self, maps: CenterMaps, config: TestConfig, image_size: tuple[int, int]
    ) -> Keypoints | None:
        return None if config.center_rule == "nearby" else center_points(maps, config, image_size)

    def confirm(
        self, views: list[Candidates], keypoints: list[Keypoints], config: TestConfig
    ) -> list[Candidates]:
        return verify_views(views, keypoints, config)
