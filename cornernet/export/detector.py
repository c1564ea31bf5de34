"""Detectors as files of other programs: written, compared with the network, kept or removed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cornernet.config import Config
from cornernet.errors import UserError
from cornernet.export.onnx import Stage, export_onnx, run_onnx
from cornernet.export.verify import (
    Agreement,
    MapAgreement,
    drawn_images,
    verify_boxes,
    verify_maps,
)
from cornernet.inference.graph import GraphDetector
from cornernet.model.fuse import FusedDetector
from cornernet.runtime.files import replacing
from cornernet.structures import Thresholds


def export(
    model: FusedDetector,
    classes: Sequence[str],
    config: Config,
    thresholds: Thresholds,
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    batch: int | None = None,
    stage: Stage = "boxes",
    images: Sequence[np.ndarray] | None = None,
) -> Agreement | MapAgreement:
    """Write a detector and compare the file with it; see `CornerNet.export`.

    Args:
        model, classes, config, thresholds, size, batch, stage: see `export_onnx`.
        path: the file, which replaces another once it has been compared.
        images: [H, W, 3] RGB uint8 each, to compare on; None draws some.
    """
    _check_arguments(path, size, batch, stage)
    if images is None:
        images = drawn_images(size)
    for place, image in enumerate(images):
        if size is not None and image.shape[:2] != size:
            height, width = image.shape[:2]
            raise UserError(
                f"must be of {size[1]}×{size[0]}, as the graph, got {width}×{height} at place "
                f"{place}",
                field="images",
            )
    with replacing(path) as temporary:
        export_onnx(
            model, classes, config, thresholds, temporary, size=size, batch=batch, stage=stage
        )
        if stage == "maps":
            return verify_maps(run_onnx(temporary), model, config, images, batch or 1)
        graph = GraphDetector(temporary)
        return verify_boxes(lambda image: graph.detect([image])[0], model, config, images)


def _check_arguments(
    path: Path, size: tuple[int, int] | None, batch: int | None, stage: Stage
) -> None:
    if not path.absolute().parent.is_dir():
        raise UserError(f"{path}: expected an existing directory, found none; make it")
    if size is not None and min(size) < 1:
        raise UserError(f"must be height and width in pixels, got {size}", field="size")
    if batch is not None and batch < 1:
        raise UserError(f"must be at least 1, got {batch}", field="batch")
    if stage not in ("boxes", "maps"):
        raise UserError(f"must be boxes or maps, got {stage}", field="stage")
