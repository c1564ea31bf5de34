"""Detectors as files of other programs: written, compared with the network, kept or removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from cornernet.errors import UserError
from cornernet.export.onnx import check_onnx, export_onnx, run_onnx
from cornernet.export.programs import export_program, run_program
from cornernet.export.quantize import quantize
from cornernet.export.request import Request
from cornernet.export.verify import (
    Agreement,
    MapAgreement,
    drawn_images,
    verify_boxes,
    verify_maps,
)
from cornernet.runtime.files import replacing
from cornernet.structures import Detections

Run = Callable[[Sequence[np.ndarray]], Sequence[Tensor]]
"""From images of one size, [H, W, 3] RGB uint8 each, to a graph's outputs."""


def export(
    request: Request,
    path: Path,
    images: Sequence[np.ndarray] | None = None,
    calibration: Sequence[np.ndarray] | None = None,
) -> Agreement | MapAgreement:
    """Write a detector and compare the file with it; see `CornerNet.export`.

    Args:
        request: what to write.
        path: the file, which replaces another once it has been compared.
        images: [H, W, 3] RGB uint8 each, to compare on; None draws some.
        calibration: the same, for int8: what the network will see.
    """
    request.check(path)
    if (request.precision == "int8") != bool(calibration):
        raise UserError(
            "must be images such as the network will see, for the precision int8 and no other",
            field="calibrate",
        )
    if request.format == "onnx":
        check_onnx()
    if images is None:
        images = drawn_images(request.size)
    _check_images(images, request.size, "images")
    _check_images(calibration or [], request.size, "calibrate")
    with replacing(path) as temporary:
        if request.format == "onnx":
            export_onnx(request, temporary)
            if calibration:
                quantize(request, temporary, calibration)
            run: Run = run_onnx(temporary)
        else:
            export_program(request, temporary)
            run = run_program(request, temporary)
        if request.stage == "maps":
            return verify_maps(run, request, images)
        return verify_boxes(
            lambda image: _first(run([image] * (request.batch or 1))), request, images
        )


def _first(outputs: Sequence[Tensor]) -> Detections:
    """The first image's boxes among a graph's outputs."""
    boxes, scores, labels = (output[0] for output in outputs)
    return Detections(boxes, scores, labels).select(labels >= 0)


def _check_images(images: Sequence[np.ndarray], size: tuple[int, int] | None, field: str) -> None:
    for place, image in enumerate(images):
        if size is not None and image.shape[:2] != size:
            height, width = image.shape[:2]
            raise UserError(
                f"must be of {size[1]}×{size[0]}, as the graph, got {width}×{height} at place "
                f"{place}",
                field=field,
            )
