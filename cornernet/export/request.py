"""What is to be exported, and how."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cornernet
from cornernet.config import Config
from cornernet.errors import UserError
from cornernet.export import SUFFIXES
from cornernet.inference.views import canvas_size, pad_multiple, view_size
from cornernet.model.fuse import FusedDetector
from cornernet.structures import Thresholds

Stage = Literal["boxes", "maps"]
"""Where a graph ends."""


@dataclass(frozen=True)
class Request:
    """A detector, and the graph that is to be made of it.

    Attributes:
        model: in fp32 and not compiled.
        classes: names by label.
        config: sections data and test: how images are resized, padded, mirrored, and boxes found.
        thresholds: kept in the file.
        size: height and width of all images; None for any.
        batch: number of images; None for any.
        stage: where the graph ends.
        format: of the file, one of `SUFFIXES`.
        precision: "fp32", or "int8" for ONNX files.
    """

    model: FusedDetector
    classes: Sequence[str]
    config: Config
    thresholds: Thresholds
    size: tuple[int, int] | None = None
    batch: int | None = None
    stage: Stage = "boxes"
    format: str = "onnx"
    precision: str = "fp32"

    @property
    def multiple(self) -> int:
        """Sides of canvases are one less than a multiple of it; 1: those of the view."""
        return pad_multiple(self.config, self.model.size_multiple)

    @property
    def copies(self) -> int:
        """Canvases for each image: 2 with mirror images."""
        return 2 if self.config.test.flip else 1

    @property
    def canvas(self) -> tuple[int, int] | None:
        """Height and width of canvases; None for images of any size."""
        if self.size is None:
            return None
        view = view_size(self.size, self.config, self.config.test.scales[0])
        return canvas_size(view, self.multiple)

    def metadata(self) -> str:
        """What a file says of the detector, as JSON."""
        thresholds = self.thresholds
        return json.dumps(
            {
                "version": cornernet.__version__,
                "classes": list(self.classes),
                "config": self.config.to_dict(),
                "thresholds": {
                    "overall": thresholds.overall,
                    "by_class": dict(thresholds.by_class),
                },
                "size": self.size,
                "batch": self.batch,
                "stage": self.stage,
                "multiple": self.multiple,
                "precision": self.precision,
            }
        )

    def check(self, path: Path) -> None:
        """Refuse what cannot become a file.

        Args:
            path: the file.

        Raises:
            UserError: an argument is wrong, or the detector is not one graph.
        """
        for field, given, known in (
            ("format", self.format, tuple(SUFFIXES)),
            ("stage", self.stage, ("boxes", "maps")),
            ("precision", self.precision, ("fp32", "int8") if self.format == "onnx" else ("fp32",)),
        ):
            if given not in known:
                raise UserError(f"must be one of {', '.join(known)}, got {given}", field=field)
        if path.suffix.lower() != SUFFIXES[self.format]:
            raise UserError(
                f"{path}: expected a name that ends in {SUFFIXES[self.format]}, as files of the "
                f"format {self.format} do"
            )
        if not path.absolute().parent.is_dir():
            raise UserError(f"{path}: expected an existing directory, found none; make it")
        if self.size is not None and min(self.size) < 1:
            raise UserError(f"must be height and width in pixels, got {self.size}", field="size")
        if self.batch is not None and self.batch < 1:
            raise UserError(f"must be at least 1, got {self.batch}", field="batch")
        if self.model.locates:
            raise UserError(
                "expected a network that looks at an image once, got one with the part attention, "
                "which cuts crops where it has found something; such a network cannot become one "
                "graph",
                field="model.parts",
            )
        if len(self.config.test.scales) != 1:
            raise UserError(
                f"must be one scale for an exported graph, got {self.config.test.scales}",
                field="test.scales",
            )
        if self.multiple == 1 and self.size is None:
            raise UserError(
                "must not be 1 for images of any size, whose canvases are multiples; set 0, or "
                "export for one size",
                field="test.pad_multiple",
            )
